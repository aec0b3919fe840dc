"""Files of NNCF, quantized in OpenVINO's own form."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .candidate import Arrays, Candidate

# Presets of ``nncf.quantize``: symmetric activations, or with a zero-point where they are not ReLU's.
SETTINGS = ("performance", "mixed")


def nncf_files(source: Path, images: Arrays, folder: Path) -> Iterator[Candidate]:
    """One file for each setting; what follows the network stays float.

    Args:
        source: the float file, with one input.
        images: to calibrate on, ``[N, C, H, W]`` each.
        folder: to write to.
    """
    import nncf
    import openvino

    for name in SETTINGS:
        model = openvino.Core().read_model(source)
        start = time.process_time()
        quantized = nncf.quantize(
            model,
            nncf.Dataset(images),
            preset=nncf.QuantizationPreset(name),
            subset_size=len(images),
            target_device=nncf.TargetDevice.CPU,
            ignored_scope=nncf.IgnoredScope(names=nodes_outside(model), validate=False),
        )
        seconds = time.process_time() - start
        path = folder / f"nncf_{name}.xml"
        openvino.save_model(quantized, path, compress_to_fp16=False)
        yield Candidate("NNCF", name, "openvino", path, seconds=seconds)


def nodes_outside(model: Any) -> list[str]:
    """Names of the nodes of an OpenVINO model that work for no convolution: decoding of boxes, suppression."""
    waiting = [node for node in model.get_ordered_ops() if "Convolution" in node.get_type_name()]
    inside: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() not in inside:
            inside.add(node.get_friendly_name())
            waiting += [value.get_source_output().get_node() for value in node.inputs()]
    silent = ("Constant", "Parameter", "Result")
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_friendly_name() not in inside and node.get_type_name() not in silent
    ]
