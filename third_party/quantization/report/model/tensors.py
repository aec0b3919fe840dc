"""What quantization does to single layers and tensors."""

from dataclasses import dataclass

from .accuracy import Number


@dataclass(frozen=True)
class LayerRow:
    """How a layer is quantized.

    Attributes:
        name: qualified name.
        type: class of the layer.
        weight, activation: how its weight and its input are quantized, in words.
        why: what decided that.
        bytes_float, bytes_quantized: size of its parameters.
    """

    name: str
    type: str = ""
    weight: str = ""
    activation: str = ""
    why: str = ""
    bytes_float: int | None = None
    bytes_quantized: int | None = None


@dataclass(frozen=True)
class LayerSqnr:
    """Signal to quantization noise of a tensor.

    Attributes:
        name: of the layer.
        decibels: ratio of the mean square of its values to that of their errors, in decibels.
        tensor: which of the layer's tensors.
    """

    name: str
    decibels: Number
    tensor: str = "input"


@dataclass(frozen=True)
class RangeRow:
    """The range of a tensor.

    Attributes:
        name: of the layer.
        bottom, top: outermost levels.
        observer: that chose them.
        clipped: share of the values beyond them.
        shared_with: layers that read the same tensor.
    """

    name: str
    bottom: Number
    top: Number
    observer: str = ""
    clipped: Number = None
    shared_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class Histogram:
    """The values of a tensor, and the range chosen for them.

    Attributes:
        name: of the layer.
        start: left end of the first bin.
        width: of a bin.
        counts: how many values lie in each bin.
        bottom, top: the range; None where there is none.
    """

    name: str
    start: float
    width: float
    counts: tuple[float, ...]
    bottom: Number = None
    top: Number = None

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise ValueError(f"histogram of {self.name!r}: width is {self.width}, it must be above 0")

    @property
    def end(self) -> float:
        """Right end of the last bin."""
        return self.start + self.width * len(self.counts)


@dataclass(frozen=True)
class SensitivityRow:
    """What a layer does when it alone is quantized.

    Attributes:
        name: of the layer.
        change: of the loss, against the model in floating point.
        bits: "W8A8".
        loss: the loss then.
    """

    name: str
    change: Number
    bits: str = ""
    loss: Number = None


@dataclass(frozen=True)
class Sensitivity:
    """Effects of all layers.

    Attributes:
        rows: the layers.
        verdict: what they say, in a sentence.
        float_loss, quantized_loss: of the model in floating point, and with everything quantized.
    """

    rows: tuple[SensitivityRow, ...]
    verdict: str = ""
    float_loss: Number = None
    quantized_loss: Number = None


@dataclass(frozen=True)
class Candidate:
    """A recipe that was measured in a search.

    Attributes:
        drop: AP that it loses.
        cost: of its layers, in the unit of the search.
        explanation: what is unusual about it.
    """

    drop: Number
    cost: Number
    explanation: str = ""


@dataclass(frozen=True)
class Search:
    """A search for the cheapest recipe.

    Attributes:
        verdict: its result in a sentence.
        met: whether the tolerance is kept.
        candidates: in the order in which they were measured.
    """

    verdict: str
    met: bool = True
    candidates: tuple[Candidate, ...] = ()
