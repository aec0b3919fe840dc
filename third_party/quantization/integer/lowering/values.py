"""What a node of a traced graph stands for while it is brought into integers."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..code_grid import CodeGrid
from ..sizes import Size


@dataclass(frozen=True, eq=False)
class Origin:
    """The call that made a value.

    Attributes:
        operator: an ATen operator or one of this package, without side effects.
        arguments, keywords: plain values, and values of this file in place of tensors.
        layer: qualified name of the module.
    """

    operator: Any
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    layer: str

    @property
    def name(self) -> str:
        """Name with overload, as "relu.default"."""
        return str(self.operator).split(".", 1)[1]


@dataclass(eq=False, kw_only=True)
class Value:
    """A tensor of the traced graph, or a size.

    Attributes:
        origin: the call that made it; None for inputs and constants.
        roots: values that it is a function of, value by value, the nearest first.
        rank: number of dimensions.
    """

    origin: Origin | None = None
    roots: tuple["Value", ...] = ()
    rank: int = 0


@dataclass(eq=False, kw_only=True)
class Constant(Value):
    """The same for all inputs."""

    tensor: Tensor


@dataclass(eq=False, kw_only=True)
class Scalar(Value):
    """A size that depends on the inputs' sizes."""

    size: Size


@dataclass(eq=False, kw_only=True)
class Weight(Value):
    """Integer weights: ``(codes - zero_point) * scale``; all broadcast to the shape of ``codes``."""

    codes: Tensor
    zero_point: Tensor
    scale: Tensor


@dataclass(eq=False, kw_only=True)
class FloatTensor(Value):
    """A float tensor of the program.

    Attributes:
        tensor: its name.
        left: where integers were left on the way to it; None for what comes from the inputs alone.
    """

    tensor: str
    left: Origin | None = None


@dataclass(eq=False, kw_only=True)
class IntegerValue(Value):
    """A number made of integers of the program, which is not computed in float."""


@dataclass(eq=False, kw_only=True)
class Coded(IntegerValue):
    """On a grid: the program has its codes.

    Attributes:
        tensor: name of the codes.
        grid: what they stand for.
    """

    tensor: str
    grid: CodeGrid

    def __post_init__(self) -> None:
        self.roots = (self, *self.roots)


@dataclass(frozen=True, eq=False)
class Term:
    """``(t - zero_point) * scale`` for a tensor t of whole numbers.

    Attributes:
        tensor: name of t.
        zero_point: int64 ``Tensor[]`` or ``Tensor[C]``.
        scale: float64 ``Tensor[]`` or ``Tensor[C]``; may be negative.
        reach: the largest absolute value of t.
    """

    tensor: str
    zero_point: Tensor
    scale: Tensor
    reach: int


@dataclass(eq=False, kw_only=True)
class Affine(IntegerValue):
    """A sum of terms and a bias: outputs of layers before they are put on a grid, sums of branches.

    Attributes:
        terms: at least one.
        bias: float64 ``Tensor[]`` or ``Tensor[C]``.
        axis: dimension of the C channels.
    """

    terms: tuple[Term, ...]
    bias: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    axis: int = 1

    def __post_init__(self) -> None:
        self.roots = (self, *self.roots)


@dataclass(eq=False, kw_only=True)
class Clipped(IntegerValue):
    """``base`` limited to a range, as by ReLU."""

    base: IntegerValue
    low: float
    high: float

    def __post_init__(self) -> None:
        self.roots = self.base.roots


@dataclass(eq=False, kw_only=True)
class Pointwise(IntegerValue):
    """A function of its roots, value by value."""


@dataclass(eq=False, kw_only=True)
class Scaled(IntegerValue):
    """A function of its roots, times one number a channel.

    Attributes:
        base: the function.
        factor: float64 ``Tensor[C]``, not 0.
        axis: dimension of the C channels.
    """

    base: Pointwise
    factor: Tensor
    axis: int

    def __post_init__(self) -> None:
        self.roots = (self,)


@dataclass(eq=False, kw_only=True)
class Moved(IntegerValue):
    """Values of the origin's arguments at other places; its own root."""

    def __post_init__(self) -> None:
        self.roots = (self,)


def values_in(argument: Any) -> list[Value]:
    """All values among arguments, nested lists included."""
    if isinstance(argument, Value):
        return [argument]
    if isinstance(argument, dict):
        argument = list(argument.values())
    return [value for item in argument for value in values_in(item)] if isinstance(argument, (list, tuple)) else []


def replace_values(argument: Any, replace: Any) -> Any:
    """Arguments with ``replace(value)`` in place of every value."""
    if isinstance(argument, Value):
        return replace(argument)
    if isinstance(argument, dict):
        return {key: replace_values(item, replace) for key, item in argument.items()}
    if isinstance(argument, (list, tuple)):
        return [replace_values(item, replace) for item in argument]
    return argument
