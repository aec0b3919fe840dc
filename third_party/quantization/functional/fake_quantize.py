"""Quantize and dequantize in one step, with gradients for the input, the step and the zero-point."""

import torch
from torch import Tensor

from . import native, operators  # noqa: F401  operators are defined by being imported

LARGEST_LEVEL = 2**22  # up to which float32 holds halves, and the native kernels round by addition


def fake_quantize(
    x: Tensor,
    step: Tensor,
    zero_point: Tensor,
    low: int,
    high: int,
    *,
    axis: int | None = None,
    half: bool = False,
    gradient_factor: float = 1.0,
    clip_gradient_only: bool = False,
) -> Tensor:
    """Replace every value by its nearest level ``(k - zero_point + h) * step``, k a whole number in [low, high].

    ``h`` is 1/2 on a grid without zero (``half``) and 0 otherwise. With ``u = x / step + z - h`` and k the clipped
    rounding of u (halves to even), gradients are (LSQ, arXiv 1902.08153, equation 3, with the zero-point of LSQ+,
    arXiv 2004.09576):

    * of ``x``: 1 where low <= u <= high, else 0;
    * of ``step``: ``(k - z + h) - x / step`` inside (0 with ``clip_gradient_only``, as PACT has it), ``k - z + h``
      outside;
    * of ``zero_point``: 0 inside, ``-step`` outside.

    NaN stays NaN. The operator is ``torch.ops.third_party_quantization.fake_quantize``; it traces through
    ``torch.compile`` and ``torch.export``. Native kernels run where they are built, and give the same values.

    Args:
        x: any shape, float32, float16 or bfloat16; the result has its type. Computed in float32.
        step: positive, ``Tensor[]`` or ``Tensor[G]``: G groups of channels along ``axis``, G dividing their number.
        zero_point: in the shape of ``step``; rounded half to even before use, so that zero is a level.
        low, high: numbers of the lowest and highest level, within 2 ** 22.
        axis: the dimension of the groups.
        half: levels lie half a step beside the whole ones; the zero-point must then be 0.
        gradient_factor: multiplies the gradients of step and zero-point.
        clip_gradient_only: only clipped values move the step.

    Returns:
        the quantized values, in the shape of ``x``.

    Raises:
        ValueError: step and zero-point differ in shape, groups do not divide the channels, or levels are out of order.
    """
    if step.shape != zero_point.shape:
        raise ValueError(f"step of shape {tuple(step.shape)}, but zero-point of {tuple(zero_point.shape)}")
    if step.dim() > 0 and (axis is None or x.shape[axis] % step.shape[0]):
        channels = "no axis to lie along" if axis is None else f"{x.shape[axis]} channels to share along axis {axis}"
        raise ValueError(f"{step.shape[0]} steps have {channels}")
    if not -LARGEST_LEVEL <= low <= high <= LARGEST_LEVEL:
        raise ValueError(f"levels {low} to {high} are not in order within {LARGEST_LEVEL}")
    native.prepare(x.device.type)
    return torch.ops.third_party_quantization.fake_quantize(
        x, step, zero_point, low, high, axis, half, gradient_factor, clip_gradient_only
    )
