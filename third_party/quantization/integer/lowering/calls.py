"""Calls of a traced graph with their arguments as values, and who brings which operator into integers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from .builder import Builder
from .errors import IntegerLoweringError, refusal
from .values import Origin, Value


@dataclass(frozen=True, eq=False)
class Call:
    """One call of an operator.

    Attributes:
        builder: writes the program.
        origin: the operator without side effects, its arguments as values.
        result: an example of what it returns, without data.
        node: name of the node in the graph.
        input_shape: sizes of the first argument, numbers or symbols; None where that is no tensor.
    """

    builder: Builder
    origin: Origin
    result: Any
    node: str
    input_shape: tuple[Any, ...] | None = None

    @property
    def name(self) -> str:
        """The operator's name without overload."""
        return self.origin.name.partition(".")[0]

    @property
    def rank(self) -> int:
        """Dimensions of the result."""
        return self.result.dim() if isinstance(self.result, Tensor) else 0

    def argument(self, name: str, default: Any = None) -> Any:
        """An argument by the name in the operator's schema."""
        for index, parameter in enumerate(self.origin.operator._schema.arguments):
            if parameter.name == name:
                if index < len(self.origin.arguments):
                    return self.origin.arguments[index]
                return self.origin.keywords.get(name, parameter.default_value if default is None else default)
        return default

    def refuse(self, problem: str, remedy: str) -> IntegerLoweringError:
        """The error for this call."""
        return refusal(self.origin.layer, self.name, problem, remedy)


Handler = Callable[[Call], "Value | tuple[Value, ...] | None"]
_Handler = TypeVar("_Handler", bound=Handler)
HANDLERS: dict[str, Handler] = {}


def handles(*names: str) -> Callable[[_Handler], _Handler]:
    """Register what brings operators of these names, whose arguments hold values of integers, into integers.

    It returns the value of the result, or None where the operator has no form in integers.
    """

    def register(handler: _Handler) -> _Handler:
        for name in names:
            assert name not in HANDLERS, name
            HANDLERS[name] = handler
        return handler

    return register
