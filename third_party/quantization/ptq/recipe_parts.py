"""The groups of settings that a recipe of post-training quantization is made of."""

from dataclasses import dataclass

from ..spec.choices import check_bool, check_choice, check_number, check_type, check_whole
from ..spec.names import NamePattern
from ..spec.quant_spec import GRANULARITIES

RANGE_METHODS = ("minmax", "mse")
RECONSTRUCTIONS = ("gptq", "adaround", "brecq")


@dataclass(frozen=True)
class WeightSettings:
    """Weights.

    Attributes:
        bits: width.
        granularity: "channel" for a range for each output channel, "tensor" for one.
        ranges: "minmax" keeps the largest weight, "mse" takes the range of least squared error.
        narrow_range: leave out the lowest level, so that levels are symmetric.

    Raises:
        ValueError: a value that is not allowed.
    """

    bits: int = 8
    granularity: str = "channel"
    ranges: str = "minmax"
    narrow_range: bool = False

    def __post_init__(self) -> None:
        check_whole("bits", self.bits, at_least=2, at_most=16)
        check_choice("granularity", self.granularity, GRANULARITIES)
        check_choice("ranges", self.ranges, RANGE_METHODS)
        check_bool("narrow_range", self.narrow_range)


@dataclass(frozen=True)
class ActivationSettings:
    """Inputs of layers with weights, and of additions and concatenations.

    Attributes:
        enabled: False leaves all of them in floating point.
        bits: width.
        symmetric: zero-point 0; otherwise it is found with the range.
        observer: how a range follows from the statistics of the calibration set; a name of ``OBSERVERS``.
        elementwise: also the inputs of additions and concatenations.
        nonlinear: also the inputs of activation functions that do more than clip (SiLU and the like).

    Raises:
        ValueError: a value that is not allowed.
    """

    enabled: bool = True
    bits: int = 8
    symmetric: bool = False
    observer: str = "mse"
    elementwise: bool = True
    nonlinear: bool = False

    def __post_init__(self) -> None:
        check_whole("bits", self.bits, at_least=2, at_most=16)
        for name in ("enabled", "symmetric", "elementwise", "nonlinear"):
            check_bool(name, getattr(self, name))
        check_observer("observer", self.observer)


@dataclass(frozen=True)
class StepSettings:
    """Which steps are taken besides calibration.

    Attributes:
        ties: one range for each tensor, however many layers read it.
        equalize: cross-layer equalisation of weight ranges (arXiv 1906.04721, section 4.1).
        migrate: per-channel scales of activations go into the weights of the layers that read them: of depthwise
            convolutions with uneven channels, and of others where the expected error becomes an eighth.
        bias_correction: the mean error that quantized weights cause goes into the biases (arXiv 1906.04721, section
            4.2). It takes as long as two or three runs of the model over the calibration set.

    Raises:
        ValueError: a value that is no bool.
    """

    ties: bool = True
    equalize: bool = False
    migrate: bool = True
    bias_correction: bool = True

    def __post_init__(self) -> None:
        for name in ("ties", "equalize", "migrate", "bias_correction"):
            check_bool(name, getattr(self, name))


@dataclass(frozen=True)
class ReconstructionSettings:
    """Rounding of weights by what layers or blocks give.

    Attributes:
        enabled: whether it is done.
        method: "gptq" layer by layer by linear algebra (arXiv 2210.17323), biases with it; learned are "adaround",
            layer by layer (arXiv 2004.10568), and "brecq", block by block (arXiv 2102.05426).
        iterations: steps of the optimizer for each layer or block that learns.
        batches: of the calibration set that are used; 0 for all.
        drop: share of activations that stay in floating point while learning (QDrop, arXiv 2203.05740); 0 for none.

    Raises:
        ValueError: a value that is not allowed.
    """

    enabled: bool = False
    method: str = "gptq"
    iterations: int = 1000
    batches: int = 0
    drop: float = 0.5

    def __post_init__(self) -> None:
        check_bool("enabled", self.enabled)
        check_choice("method", self.method, RECONSTRUCTIONS)
        check_whole("iterations", self.iterations, at_least=1)
        check_whole("batches", self.batches, at_least=0)
        check_number("drop", self.drop, at_least=0.0, at_most=1.0)


@dataclass(frozen=True)
class LayerChoice:
    """What some layers do differently; the last choice that matches a layer and says something decides it.

    Attributes:
        name: which layers: exact name, glob or "re:<regex>" (:class:`NamePattern`).
        weight_bits: width of their weights; None as everywhere.
        activation_bits: width of their inputs; None as everywhere.
        observer: of their inputs; None as everywhere.
        keep_float: leave them in floating point.

    Raises:
        ValueError: a value that is not allowed, or nothing to change.
    """

    name: str
    weight_bits: int | None = None
    activation_bits: int | None = None
    observer: str | None = None
    keep_float: bool = False

    def __post_init__(self) -> None:
        NamePattern(self.name)
        for field in ("weight_bits", "activation_bits"):
            check_type(field, getattr(self, field), int, type(None))
            if getattr(self, field) is not None:
                check_whole(field, getattr(self, field), at_least=2, at_most=16)
        if self.observer is not None:
            check_observer("observer", self.observer)
        check_bool("keep_float", self.keep_float)
        said = self.weight_bits is not None or self.activation_bits is not None or self.observer is not None
        if said and self.keep_float:
            raise ValueError(f"the choice for {self.name!r} says keep_float and settings of quantization: use either")
        if not said and not self.keep_float:
            raise ValueError(
                f"the choice for {self.name!r} changes nothing: say weight_bits, activation_bits, observer or "
                "keep_float"
            )


def check_observer(field: str, value: object) -> None:
    """Raise ``ValueError`` unless ``value`` is the name of an observer."""
    from .observers import OBSERVERS

    check_choice(field, value, OBSERVERS)
