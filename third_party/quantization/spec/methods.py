"""The settings of every method: one dataclass each, found by its ``method`` name."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from .choices import check_choice, check_number, hint
from .quant_spec import QuantSpec
from .roles import Role

_WEIGHT = frozenset({Role.WEIGHT})
_ACTIVATION = frozenset({Role.ACTIVATION})


@dataclass(frozen=True, kw_only=True)
class AQDSpec(QuantSpec):
    """AQD (arXiv 2007.06919): an interval [0, v] or [-v, v] learned by the task's loss."""

    method: ClassVar[str] = "aqd"


@dataclass(frozen=True, kw_only=True)
class LSQSpec(QuantSpec):
    """Learned step size (LSQ, arXiv 1902.08153)."""

    method: ClassVar[str] = "lsq"


@dataclass(frozen=True, kw_only=True)
class LSQPlusSpec(QuantSpec):
    """LSQ with a learned offset (LSQ+, arXiv 2004.09576)."""

    method: ClassVar[str] = "lsq_plus"
    roles: ClassVar[frozenset[Role]] = _ACTIVATION
    symmetric: bool = False


@dataclass(frozen=True, kw_only=True)
class PACTSpec(QuantSpec):
    """Clipping value learned by PACT (arXiv 1805.06085): its gradient comes from clipped values only."""

    method: ClassVar[str] = "pact"
    roles: ClassVar[frozenset[Role]] = _ACTIVATION
    initial_range: str = "max"


@dataclass(frozen=True, kw_only=True)
class DoReFaSpec(QuantSpec):
    """DoReFa-Net (arXiv 1606.06160): weights squashed by tanh, activations clipped to [0, 1]."""

    method: ClassVar[str] = "dorefa"
    grid: str = "interval"


@dataclass(frozen=True, kw_only=True)
class MinMaxSpec(QuantSpec):
    """A range observed on data and then kept; nothing is learned."""

    method: ClassVar[str] = "minmax"
    initial_range: str = "max"


@dataclass(frozen=True, kw_only=True)
class ImageSpec(QuantSpec):
    """Normalised images of whole pixel values: exact on the grid of scale ``1 / std`` and zero-point ``mean``.

    Attributes:
        mean, std: of the normalisation, for each channel; whole means. Empty: the caller fills them in.
    """

    method: ClassVar[str] = "image"
    roles: ClassVar[frozenset[Role]] = _ACTIVATION
    supported_bits: ClassVar[range] = range(8, 9)
    symmetric: bool = False
    signed: bool | None = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean and std of method image need the same length, got {self.mean} and {self.std}")
        if any(std <= 0 for std in self.std):
            raise ValueError(f"std of method image must be above 0, got {self.std}")


@dataclass(frozen=True, kw_only=True)
class LQNetSpec(QuantSpec):
    """LQ-Nets (arXiv 1807.10029): levels are signed (or 0/1) sums of a basis fitted to the data.

    Attributes:
        momentum: of the moving average of the basis over training steps.
        iterations: alternations of encoding and least squares in a step.
    """

    method: ClassVar[str] = "lq_net"
    supported_bits: ClassVar[range] = range(1, 5)
    momentum: float = 0.9
    iterations: int = 1

    @classmethod
    def needs_zero(cls) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class XNORSpec(QuantSpec):
    """XNOR-Net (arXiv 1603.05279): signs, times the mean magnitude for weights (equation 6)."""

    method: ClassVar[str] = "xnor"
    supported_bits: ClassVar[range] = range(1, 2)
    bits: int = 1
    grid: str = "interval"

    @classmethod
    def needs_zero(cls) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class XNORPlusPlusSpec(XNORSpec):
    """XNOR-Net++ (arXiv 1909.13863): signs times a scale learned by the task's loss."""

    method: ClassVar[str] = "xnor_plus_plus"


@dataclass(frozen=True, kw_only=True)
class BiRealSpec(XNORSpec):
    """Bi-Real Net (arXiv 1808.00278): signs with the triangle-shaped gradient of section 3.3; for activations."""

    method: ClassVar[str] = "bireal"
    roles: ClassVar[frozenset[Role]] = _ACTIVATION


@dataclass(frozen=True, kw_only=True)
class BinaryMeanSpec(XNORSpec):
    """Binary weights around their mean, scaled by the mean magnitude (the weights of Bi-Real Net and ReActNet)."""

    method: ClassVar[str] = "binary_mean"
    roles: ClassVar[frozenset[Role]] = _WEIGHT


@dataclass(frozen=True, kw_only=True)
class TTQSpec(QuantSpec):
    """Trained ternary quantization (arXiv 1612.01064): levels -Wn, 0, Wp with learned Wn and Wp.

    Attributes:
        threshold: share of the largest magnitude below which a weight becomes 0 (t of section 3.1).
        tied: one learned magnitude for both sides, which Q/DQ nodes can carry.
    """

    method: ClassVar[str] = "ttq"
    roles: ClassVar[frozenset[Role]] = _WEIGHT
    supported_bits: ClassVar[range] = range(2, 3)
    bits: int = 2
    threshold: float = 0.05
    tied: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("threshold", self.threshold, above=0.0, at_most=1.0)

    @classmethod
    def needs_zero(cls) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class LearnedThresholdSpec(QuantSpec):
    """Two, three or four levels with learned thresholds between them (FATNN, arXiv 2008.05101, section 3.2).

    Attributes:
        levels: number of levels.
    """

    method: ClassVar[str] = "learned_threshold"
    supported_bits: ClassVar[range] = range(1, 3)
    bits: int = 2
    levels: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.levels not in (2, 3, 4) or self.bits != (1 if self.levels == 2 else 2):
            raise ValueError(
                f"method learned_threshold has 2 levels with 1 bit, or 3 or 4 with 2 bits; got levels {self.levels!r} "
                f"with bits {self.bits!r}"
            )

    @classmethod
    def needs_zero(cls) -> bool:
        return False


METHODS: dict[str, type[QuantSpec]] = {
    spec.method: spec
    for spec in (
        AQDSpec,
        LSQSpec,
        LSQPlusSpec,
        PACTSpec,
        DoReFaSpec,
        MinMaxSpec,
        ImageSpec,
        LQNetSpec,
        XNORSpec,
        XNORPlusPlusSpec,
        BiRealSpec,
        BinaryMeanSpec,
        TTQSpec,
        LearnedThresholdSpec,
    )
}


def spec_from_mapping(settings: dict[str, Any]) -> QuantSpec:
    """Make a spec from names and values, "method" among them.

    Raises:
        ValueError: an unknown method or field (near matches are listed), or a value that is not allowed.
    """
    settings = dict(settings)
    method = settings.pop("method", "lsq")
    check_choice("method", method, METHODS)
    spec_type = METHODS[method]
    known = [field.name for field in fields(spec_type)]
    for name in settings:
        if name not in known:
            raise ValueError(
                f"method {method} has no setting {name!r}.{hint(name, known)} Its settings: {', '.join(known)}"
            )
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
    return spec_type(**values)
