"""What engines want to find in a file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """How quantization is written for an engine.

    Attributes:
        name: the engine.
        unsigned_activations: activations are UINT8 with any zero-point, signed ones too; else signed ones are INT8.
        symmetric_activations: activations must be INT8 with zero-point 0.
        packed_activations: activations of at most 4 bits are INT4 or UINT4; else 8-bit types whose codes are clipped.
        clip_codes: activations with fewer levels than their type are clipped behind QuantizeLinear, as integers, so
            that a convolution and QuantizeLinear stay next to each other; else before it, in float.
        widen_weights: weights of at most 4 bits are stored as such and cast to INT8 by the file, since the engine
            computes with INT8 only; else they go to DequantizeLinear as they are.
        repeat_after_moves: QuantizeLinear and DequantizeLinear stand again behind steps that only choose values, so
            that the engine sees them between a DequantizeLinear and a QuantizeLinear and does them with integers.
        repeat_signed: so with INT8 activations, for the sake of ONNX Runtime: behind such a step it adds the two nodes
            by itself, and those it makes invalid for INT8 (1.31 on x86-64), so that the file would not load.
        added_biases: biases are additions behind the convolutions, for the sake of OpenVINO (2026.4): it does not fuse
            a convolution's own bias if layers share it, as heads over several levels do, and computes the layer wrongly
            if a shape behind is made of the batch's size and of sides of feature maps: input, QuantizeLinear and
            DequantizeLinear, Conv with bias, the two again, Conv, Reshape to (batch, 2, -1, height, width). ONNX
            Runtime in turn wants the bias within the convolution, so that a generic file can be wrong in OpenVINO.
        divisions_by_convolution: divisions of channels before QuantizeLinear are depthwise convolutions, for the sake
            of OpenVINO (2026.4): where the layer before does not take a division in, for example because two divisions
            read it, it merges the constants with the quantization's range, and computes that wrongly if one is negative
            (clipped values come out at the wrong end) or if a Clip stands between. The smallest graph: input, Div by
            ``[1, C, 1, 1]``, Clip, QuantizeLinear, DequantizeLinear.
    """

    name: str
    unsigned_activations: bool = False
    symmetric_activations: bool = False
    packed_activations: bool = False
    clip_codes: bool = False
    widen_weights: bool = False
    repeat_after_moves: bool = False
    repeat_signed: bool = False
    added_biases: bool = False
    divisions_by_convolution: bool = False


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("generic", packed_activations=True, repeat_signed=True),
        Target("onnxruntime", unsigned_activations=True, clip_codes=True, widen_weights=True, repeat_after_moves=True),
        Target("openvino", widen_weights=True, added_biases=True, divisions_by_convolution=True),
        Target("tensorrt", symmetric_activations=True),
    )
}


def find_target(name: str) -> Target:
    """The target of a name.

    Raises:
        ValueError: there is none.
    """
    if name not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, got {name!r}")
    return TARGETS[name]
