"""What all operations of an integer program share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from ..arithmetic.base import Arithmetic

OPERATIONS: dict[str, type["Operation"]] = {}
_Class = TypeVar("_Class", bound="type[Operation]")


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation(ABC):
    """One step: tensors of the program in, one tensor out.

    Fields hold plain values, tensors and :class:`PackedCodes` only, so that a file can hold them.

    Attributes:
        inputs: names of the tensors that it reads.
        output: name of the tensor that it makes.
        layer: qualified name of the layer that it comes from, for messages.
    """

    inputs: tuple[str, ...]
    output: str
    layer: str = ""

    @abstractmethod
    def run(self, arithmetic: Arithmetic, inputs: list[Tensor], symbols: Mapping[str, int]) -> Tensor:
        """Compute the output.

        Args:
            arithmetic: how integers are computed with.
            inputs: the tensors named in ``inputs``.
            symbols: sizes of the program's inputs by the name of their symbol.
        """


def register_operation(name: str) -> Callable[[_Class], _Class]:
    """Give a class of operations the name under which files hold it."""

    def register(operation: _Class) -> _Class:
        assert name not in OPERATIONS
        OPERATIONS[name] = operation
        return operation

    return register
