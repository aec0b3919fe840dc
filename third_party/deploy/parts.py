"""What of a detector is exported, and how its files are fed and read."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from .selection import PaddedDetections

_LARGEST = 4096  # pixels along a side of an exported detector's input


@dataclass(frozen=True)
class InputFacts:
    """How a file is fed.

    Attributes:
        pad_values: value of the padding of each channel, in the units of the pixels.
        size_divisibility: height and width of a batch are multiples of it.
        takes_sizes: whether the sizes of the images without padding are an input, too.
        input_format: order of the channels.
    """

    pad_values: tuple[float, ...]
    size_divisibility: int
    takes_sizes: bool = False
    input_format: str = "BGR"


@dataclass(frozen=True)
class DetectorParts:
    """The exportable forms of a detector. All take pixels; they share the model's weights.

    Attributes:
        name: class name of the model.
        dense: pixels -> raw predictions, a list of tensors: what integer inference and comparisons look at.
        detector: pixels -> boxes and scores of all predictions; suppression is left to :attr:`select`.
        suppressed: pixels -> boxes ``[N, D, 4]``, scores ``[N, D]``, classes ``[N, D]``, counts ``[N]``, and for models
            with masks ``[N, D, 1, M, M]``; suppression is in the graph.
        select: (boxes, scores, sizes ``Tensor[N, 2]`` or None, (height, width) of the batch) -> detections, for the
            outputs of :attr:`detector`.
        size_divisibility: height and width of a batch are multiples of it.
        coarsest_stride: pixels per cell of the coarsest feature map.
        pad_values: value of the padding of each channel, in the units of the pixels.
        takes_sizes: whether ``detector`` and ``suppressed`` take, behind the pixels, the sizes of the images without
            their padding as float32 ``Tensor[N, 2]`` of (height, width).
        has_masks: whether ``suppressed`` gives masks.
        regions: heads that work on pooled features, by name.
        input_format: order of the channels.
    """

    name: str
    dense: nn.Module
    detector: nn.Module
    suppressed: nn.Module
    select: Callable[..., PaddedDetections]
    size_divisibility: int
    coarsest_stride: int
    pad_values: tuple[float, ...]
    takes_sizes: bool = False
    has_masks: bool = False
    regions: dict[str, nn.Module] = field(default_factory=dict)
    input_format: str = "BGR"

    @property
    def facts(self) -> InputFacts:
        """How files of this detector are fed."""
        return InputFacts(self.pad_values, self.size_divisibility, self.takes_sizes, self.input_format)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs of ``detector`` and ``suppressed``; ``dense`` has the first only."""
        return ["pixels", "sizes"] if self.takes_sizes else ["pixels"]

    def output_names(self, form: str) -> list[str] | None:
        """Names of the outputs of a form, "dense", "detector" or "suppressed"; None where they are numbered only."""
        if form == "dense":
            return None
        if form == "detector":
            return ["boxes", "scores"]
        return ["boxes", "scores", "classes", "counts", *(["masks"] if self.has_masks else [])]

    def example(
        self, form: str, height: int | None = None, width: int | None = None, batch: int = 2
    ) -> tuple[Tensor, ...]:
        """Inputs of a form, for tracing: pixels between 0 and 255.

        Args:
            form: "dense", "detector" or "suppressed".
            height, width: in pixels, multiples of :attr:`size_divisibility`. Where they are to stay free, every feature
                map must have 2 cells or more along each side; the default is the smallest size of which that is true.
            batch: images; 2 or more where the number is to stay free.

        Raises:
            ValueError: a size that the model cannot take.
        """
        unit = math.lcm(self.coarsest_stride, self.size_divisibility)
        height, width = height or 2 * unit, width or 3 * unit
        for name, size in (("height", height), ("width", width)):
            if size <= 0 or size % self.size_divisibility:
                raise ValueError(f"{name} is {size}, but must be a positive multiple of {self.size_divisibility}")
        generator = torch.Generator().manual_seed(0)
        pixels = torch.rand(batch, len(self.pad_values), height, width, generator=generator) * 255
        if not self.takes_sizes or form == "dense":
            return (pixels,)
        return pixels, torch.tensor([[float(height), float(width)]]).repeat(batch, 1)

    def dynamic_shapes(self, form: str) -> tuple[dict[int, Any], ...]:
        """Which dimensions of the inputs of a form are free, for ``torch.export``: batch, height and width."""
        batch = torch.export.Dim("batch", min=1, max=1024)
        unit = self.size_divisibility
        # Without a common divisor the coarsest map must have more than one cell for its size to stay free.
        smallest = 2 * self.coarsest_stride if unit == 1 else 1
        units = [torch.export.Dim(f"{name}_units", min=smallest, max=_LARGEST // unit) for name in ("height", "width")]
        height, width = units if unit == 1 else [unit * size for size in units]
        pixels = {0: batch, 2: height, 3: width}
        return (pixels, {0: batch}) if self.takes_sizes and form != "dense" else (pixels,)

    def form(self, name: str) -> nn.Module:
        """A form by its name, "dense", "detector" or "suppressed".

        Raises:
            ValueError: another name.
        """
        forms = {"dense": self.dense, "detector": self.detector, "suppressed": self.suppressed}
        if name not in forms:
            near = get_close_matches(name, forms)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"form {name!r} is not one of {', '.join(forms)}{hint}")
        return forms[name]
