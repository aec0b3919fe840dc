"""Settings of the methods with few levels: binary, ternary, and learned spacings."""

from dataclasses import dataclass
from typing import ClassVar

from .choices import check_bool, check_number, check_whole
from .quant_spec import FieldCheck, QuantSpec
from .roles import Role

_WEIGHT = frozenset({Role.WEIGHT})
_ACTIVATION = frozenset({Role.ACTIVATION})


@dataclass(frozen=True, kw_only=True)
class LQNetSpec(QuantSpec):
    """LQ-Nets (arXiv 1807.10029): levels are signed (or 0/1) sums of a basis fitted to the data.

    Attributes:
        momentum: of the moving average of the basis over training steps.
        iterations: alternations of encoding and least squares in a step.
    """

    method: ClassVar[str] = "lq_net"
    supported_bits: ClassVar[range] = range(1, 5)
    bits: int = 2
    momentum: float = 0.9
    iterations: int = 1

    @classmethod
    def field_checks(cls) -> dict[str, FieldCheck]:
        return super().field_checks() | {
            "momentum": lambda name, value: check_number(name, value, at_least=0.0, at_most=1.0),
            "iterations": lambda name, value: check_whole(name, value, at_least=1),
        }

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

    @classmethod
    def field_checks(cls) -> dict[str, FieldCheck]:
        return super().field_checks() | {
            "threshold": lambda name, value: check_number(name, value, above=0.0, at_most=1.0),
            "tied": check_bool,
        }

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

    @classmethod
    def field_checks(cls) -> dict[str, FieldCheck]:
        return super().field_checks() | {
            "levels": lambda name, value: check_whole(name, value, at_least=2, at_most=4),
        }

    def check_together(self) -> None:
        super().check_together()
        if self.bits != (1 if self.levels == 2 else 2):
            raise ValueError(
                f"method learned_threshold has 2 levels with 1 bit, or 3 or 4 with 2 bits; got levels {self.levels!r} "
                f"with bits {self.bits!r}"
            )

    @classmethod
    def needs_zero(cls) -> bool:
        return False
