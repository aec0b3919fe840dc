"""What changes during training, and when."""

from dataclasses import dataclass, field
from typing import ClassVar

from .choices import check_bool, check_type, check_whole
from .names import NamePattern
from .roles import Role


@dataclass(frozen=True)
class SetEnabled:
    """Switch quantization on or off.

    Attributes:
        value: True for on.
    """

    action: ClassVar[str] = "set_enabled"
    value: bool

    def __post_init__(self) -> None:
        check_bool("value of set_enabled", self.value)


@dataclass(frozen=True)
class SetBits:
    """Change the width; the clipping range stays.

    Attributes:
        bits: the new width.
        reset_momentum: forget the optimizer's momentum of the ranges, which belongs to the old step size.
    """

    action: ClassVar[str] = "set_bits"
    bits: int
    reset_momentum: bool = True

    def __post_init__(self) -> None:
        check_whole("bits of set_bits", self.bits, at_least=1, at_most=16)
        check_bool("reset_momentum of set_bits", self.reset_momentum)


@dataclass(frozen=True)
class Freeze:
    """Keep the ranges as they are."""

    action: ClassVar[str] = "freeze"


@dataclass(frozen=True)
class Unfreeze:
    """Let the ranges change again."""

    action: ClassVar[str] = "unfreeze"


@dataclass(frozen=True)
class Calibrate:
    """Observe the activations' ranges anew, then freeze all ranges to their present integer grids.

    Attributes:
        batches: training batches to observe.
    """

    action: ClassVar[str] = "calibrate"
    batches: int

    def __post_init__(self) -> None:
        check_whole("batches of calibrate", self.batches, at_least=1)


@dataclass(frozen=True)
class ResetRange:
    """Forget the ranges; the next batches set them anew."""

    action: ClassVar[str] = "reset_range"


Action = SetEnabled | SetBits | Freeze | Unfreeze | Calibrate | ResetRange

ACTIONS: dict[str, type[Action]] = {
    kind.action: kind for kind in (SetEnabled, SetBits, Freeze, Unfreeze, Calibrate, ResetRange)
}


@dataclass(frozen=True)
class Step:
    """An action at an iteration.

    Attributes:
        iteration: before which training iteration it is done; 0 is the first. Steps of one iteration are done in the
            order they are written.
        action: what is done.
        name: to which quantized layers (:class:`NamePattern`).
        role: to which of their quantizers; None for both.

    Raises:
        ValueError: a value that is not allowed.
    """

    iteration: int
    action: Action
    name: str = "*"
    role: Role | None = None
    _pattern: NamePattern = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_whole("iteration", self.iteration, at_least=0)
        check_type("action", self.action, *ACTIONS.values())
        check_type("role", self.role, Role, type(None))
        object.__setattr__(self, "_pattern", NamePattern(self.name))
        if isinstance(self.action, Calibrate) and self.role is Role.WEIGHT:
            raise ValueError("role must be activation, or left out, for calibrate: weights need no data; got weight")

    def matches(self, name: str) -> bool:
        """Whether it means the layer of this name."""
        return self._pattern.matches(name)

    def concerns(self, role: Role) -> bool:
        """Whether it means quantizers of this role."""
        return self.role is None or self.role is role

    def describe(self) -> str:
        """ "set_bits at iteration 1000, name *"."""
        return f"{self.action.action} at iteration {self.iteration}, name {self.name}"
