"""Settings of the methods whose levels are equally spaced."""

from dataclasses import dataclass
from typing import Any, ClassVar

from .choices import check_number, check_type
from .quant_spec import FieldCheck, QuantSpec
from .roles import Role

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

    @classmethod
    def field_checks(cls) -> dict[str, FieldCheck]:
        return super().field_checks() | {"mean": _check_means, "std": _check_stds}

    def check_together(self) -> None:
        super().check_together()
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean and std of method image need the same length, got {self.mean} and {self.std}")


def _check_means(name: str, value: Any) -> None:
    check_type(name, value, tuple)
    for mean in value:
        check_number(name, mean)
        if mean != round(mean):
            raise ValueError(
                f"{name} of method image is a zero-point, so it must be whole numbers; got {value!r}: round "
                "MODEL.PIXEL_MEAN"
            )


def _check_stds(name: str, value: Any) -> None:
    check_type(name, value, tuple)
    for std in value:
        check_number(name, std, above=0.0)
