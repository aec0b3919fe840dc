"""Groups of settings of quantization-aware training, each of one technique."""

import math
from dataclasses import dataclass

from .choices import check_bool, check_choice, check_number, check_type, check_whole
from .names import NamePattern
from .roles import Role


@dataclass(frozen=True)
class OscillationConfig:
    """Weights that jump between two levels (arXiv 2203.11086).

    Attributes:
        dampening: weight of the loss that pulls weights to the centre of their level; 0 for none.
        freeze_threshold: frequency of jumps from which a weight is frozen; 0 freezes none.
        momentum: of the moving average of that frequency.
    """

    dampening: float = 0.0
    freeze_threshold: float = 0.0
    momentum: float = 0.01

    def __post_init__(self) -> None:
        check_number("dampening", self.dampening, at_least=0.0)
        check_number("freeze_threshold", self.freeze_threshold, at_least=0.0, at_most=1.0)
        check_number("momentum", self.momentum, above=0.0, at_most=1.0)


@dataclass(frozen=True)
class QuantizationLossConfig:
    """A loss on the distance between weights and their quantized values.

    Attributes:
        weight: of the loss; 0 for none.
        kind: "l1", "l2", or "distribution" for that of means and standard deviations.
    """

    weight: float = 0.0
    kind: str = "l2"

    def __post_init__(self) -> None:
        check_number("weight", self.weight, at_least=0.0)
        check_choice("kind", self.kind, ("l1", "l2", "distribution"))


@dataclass(frozen=True)
class DistillationConfig:
    """Learning from a teacher in floating point.

    Attributes:
        weight: of the loss; 0 for none.
        teacher: path of the teacher's weights; empty when the teacher is handed over as a model. A config's empty one
            stands for the weights that the training starts from.
        kind: "features" of the named modules, or the model's "outputs".
        names: which modules' features, as in :class:`NamePattern`.
    """

    weight: float = 0.0
    teacher: str = ""
    kind: str = "features"
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_number("weight", self.weight, at_least=0.0)
        check_type("teacher", self.teacher, str)
        check_choice("kind", self.kind, ("features", "outputs"))
        check_type("names", self.names, tuple)
        for name in self.names:
            NamePattern(name)
        if self.weight > 0 and self.kind == "features" and not self.names:
            raise ValueError("names must say which modules' features are compared when kind is features; got none")


@dataclass(frozen=True)
class ProxConfig:
    """Blending of float and quantized weights, from all float to all quantized (ProxQuant, arXiv 1810.00861).

    Attributes:
        enabled: whether it is done.
        start, end: iterations between which the quantized share grows from 0 to 1.
    """

    enabled: bool = False
    start: int = 0
    end: int = 0

    def __post_init__(self) -> None:
        check_bool("enabled", self.enabled)
        check_whole("start", self.start, at_least=0)
        check_whole("end", self.end, at_least=0)
        if self.enabled and self.end <= self.start:
            raise ValueError(f"end must be above start, {self.start}; got {self.end}")


@dataclass(frozen=True)
class ProgressiveConfig:
    """Bits that go down in steps while training.

    Attributes:
        enabled: whether it is done.
        start_bits, end_bits: widths before the first and from the last of ``steps``.
        steps: iterations, ascending, at which the width changes.
        name: of which layers (:class:`NamePattern`).
        role: of which of their quantizers; None for both.
    """

    enabled: bool = False
    start_bits: int = 8
    end_bits: int = 4
    steps: tuple[int, ...] = ()
    name: str = "*"
    role: Role | None = None

    def __post_init__(self) -> None:
        check_bool("enabled", self.enabled)
        check_whole("start_bits", self.start_bits, at_least=1, at_most=16)
        check_whole("end_bits", self.end_bits, at_least=1, at_most=16)
        check_type("steps", self.steps, tuple)
        for step in self.steps:
            check_whole("steps", step, at_least=1)
        if any(later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError(f"steps must ascend; got {self.steps}")
        NamePattern(self.name)
        check_type("role", self.role, Role, type(None))
        if self.enabled and not self.steps:
            raise ValueError("steps must hold at least one iteration at which the width changes; got none")

    def bits_at(self, iteration: int) -> int:
        """Width at an iteration: equal parts of the way from ``start_bits`` to ``end_bits``, rounded half up."""
        done = sum(iteration >= step for step in self.steps)
        share = done / max(len(self.steps), 1)
        return math.floor(self.start_bits + (self.end_bits - self.start_bits) * share + 0.5)
