"""How one tensor is quantized."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from .choices import check_bool, check_choice, check_number, check_type, check_whole
from .roles import Role

FieldCheck = Callable[[str, Any], None]

GRANULARITIES = ("tensor", "channel")
GRIDS = ("integer", "interval")
INITIAL_RANGES = ("max", "percentile", "mse", "lsq")


@dataclass(frozen=True, kw_only=True)
class QuantSpec:
    """Settings that all methods share; each method adds its own in a subclass (``spec/methods.py``).

    Attributes:
        bits: width of a value; it has ``2 ** bits`` levels.
        signed: whether levels lie on both sides of zero. None: weights do, activations as their first data do.
        symmetric: the zero-point is 0; otherwise it is found or learned with the range.
        granularity: "tensor" for one range, "channel" for one a channel, or a number of groups of channels.
        grid: "integer": levels are integers times the scale, zero among them. "interval": ``2 ** bits - 1`` equal
            steps over [-v, v], so odd multiples of ``v / (2 ** bits - 1)`` and no zero (AQD, equation 2); for
            symmetric tensors. Without negative values both grids are the same.
        initial_range: where a learned range starts: "max" of the magnitudes, a "percentile" of them, the range of
            least squared error ("mse"), or "lsq": a step of ``2 mean|x| / sqrt(Qp)`` (LSQ, section 2.1).
        percentile: the share of magnitudes inside, for "percentile".
        warmup_batches: training batches over which an activation's initial range is averaged.
        narrow_range: leave out the lowest level of a signed integer grid, so that levels are symmetric.

    Raises:
        ValueError: a value that is not allowed; the message names the field, the value and what is allowed.
    """

    method: ClassVar[str] = ""
    supported_bits: ClassVar[range] = range(1, 17)
    roles: ClassVar[frozenset[Role]] = frozenset(Role)

    bits: int = 8
    signed: bool | None = None
    symmetric: bool = True
    granularity: str | int = "tensor"
    grid: str = "integer"
    initial_range: str = "lsq"
    percentile: float = 0.9999
    warmup_batches: int = 1
    narrow_range: bool = False

    def __post_init__(self) -> None:
        for name, check in self.field_checks().items():
            check(name, getattr(self, name))
        self.check_together()

    @classmethod
    def field_checks(cls) -> dict[str, FieldCheck]:
        """What each field alone must satisfy: name to a function of name and value that raises ``ValueError``."""
        return {
            "bits": cls._check_bits,
            "signed": _check_signed,
            "symmetric": check_bool,
            "granularity": _check_granularity,
            "grid": lambda name, value: check_choice(name, value, GRIDS),
            "initial_range": lambda name, value: check_choice(name, value, INITIAL_RANGES),
            "percentile": lambda name, value: check_number(name, value, above=0.0, at_most=1.0),
            "warmup_batches": lambda name, value: check_whole(name, value, at_least=1),
            "narrow_range": check_bool,
        }

    @classmethod
    def _check_bits(cls, name: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value not in cls.supported_bits:
            owner = f" of method {cls.method}" if cls.method else ""
            raise ValueError(f"{name}{owner} must be {cls.allowed_bits()}, got {value!r}")

    @classmethod
    def allowed_bits(cls) -> str:
        """The supported widths in words: "1", or "a whole number from 1 to 16"."""
        low, high = cls.supported_bits[0], cls.supported_bits[-1]
        return str(low) if low == high else f"a whole number from {low} to {high}"

    def check_together(self) -> None:
        """Raise ``ValueError`` when fields that are fine alone contradict each other."""
        if self.grid == "interval" and not self.symmetric:
            raise ValueError("grid 'interval' has as many levels above zero as below: it needs symmetric True")
        if self.signed and self.bits == 1 and self.grid == "integer":
            raise ValueError("1 signed bit on the integer grid has no positive level: use grid 'interval' or 2 bits")

    def for_role(self, role: Role) -> "QuantSpec":
        """This spec, checked for a role.

        Raises:
            ValueError: the method or one of the settings does not suit the role.
        """
        if role not in self.roles:
            suited = ", ".join(sorted(r.value for r in self.roles))
            raise ValueError(f"method {self.method} quantizes {suited} only, not a layer's {role.value}")
        if role is Role.WEIGHT and self.signed is False:
            raise ValueError("signed must not be False for weights: they have negative values")
        if role is Role.WEIGHT and self.bits == 1 and self.grid == "integer" and type(self).needs_zero():
            raise ValueError(
                f"1-bit weights of method {self.method} need grid 'interval': one signed bit on the integer grid has "
                "no positive level"
            )
        return self

    @classmethod
    def needs_zero(cls) -> bool:
        """Whether the method's levels are those of ``grid``; methods with levels of their own say False."""
        return True

    def describe(self) -> str:
        """A few words for a table: bits, method, granularity."""
        groups = f"{self.granularity} groups" if isinstance(self.granularity, int) else f"per {self.granularity}"
        return f"{self.bits} bits, {self.method}, {groups}, {self.grid}"

    def as_dict(self) -> dict[str, Any]:
        """Field names and values, with the method's name under "method"; :func:`spec_from_mapping` reads it back."""
        return {"method": self.method, **{f.name: getattr(self, f.name) for f in fields(self)}}


def _check_signed(name: str, value: Any) -> None:
    check_type(name, value, bool, type(None))


def _check_granularity(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        check_choice(name, value, GRANULARITIES, "or a number of groups, at least 1")
