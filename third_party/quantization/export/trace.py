"""From a module to a graph with dynamic sizes in which quantization is two operators with constant ranges."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from .frozen import freeze_ranges
from .passes import normalise


def trace(
    module: nn.Module, example: tuple[Tensor, ...], dynamic_shapes: Any = None, *, normalised: bool = True
) -> ExportedProgram:
    """Trace what a module computes in evaluation; the module itself stays as it is.

    A quantized module must be converted. In the graph quantization is ``third_party_quantization::fake_quantize`` with
    constant ranges and ``third_party_quantization::dequantize`` with constant codes, all else is plain ATen.

    Args:
        module: takes and gives tensors (tuples, lists and dicts of them).
        example: its inputs; dimensions that are to be dynamic have at least 2 entries, better more.
        dynamic_shapes: as ``torch.export.export`` takes it; see :func:`image_sizes`. None: sizes as in ``example``.
        normalised: bring quantization into its simplest form (:func:`~.passes.normalise`).

    Returns:
        the program.

    Raises:
        ValueError: layers that are not converted, have no range, or levels that Q/DQ nodes cannot carry; all named.
    """
    part = copy.deepcopy(module).eval().requires_grad_(False)
    freeze_ranges(part)
    with torch.no_grad():
        program = torch.export.export(part, example, dynamic_shapes=dynamic_shapes, strict=False)
    return normalise(program) if normalised else program


def image_sizes(divisor: int = 32, *, smallest: int = 64, largest: int = 4096) -> dict[int, Any]:
    """Dynamic batch, height and width of ``Tensor[N, C, H, W]``, for one input of ``dynamic_shapes``.

    Args:
        divisor: of height and width; the largest stride of the network.
        smallest, largest: bounds of height and width, in pixels; whole multiples of ``divisor``, at least two of them.

    Raises:
        ValueError: bounds that are no such multiples.
    """
    for name, value in (("smallest", smallest), ("largest", largest)):
        if value % divisor or value < 2 * divisor:
            raise ValueError(f"{name} must be a multiple of {divisor}, and at least {2 * divisor}, got {value}")
    bounds = {"min": smallest // divisor, "max": largest // divisor}
    sizes = [Dim(name, **bounds) for name in ("height", "width")]
    return {
        0: Dim("batch"),
        **{axis: size if divisor == 1 else divisor * size for axis, size in zip((2, 3), sizes, strict=True)},
    }
