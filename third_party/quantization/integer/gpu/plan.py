"""Which operations of a program one kernel does."""

from collections.abc import Callable, Sequence, Set

from ..operations import LookUp, Operation, Rescale, Weighted
from .operation import KernelOperation


def plan(operations: Sequence[Operation], kept: Set[str]) -> tuple[Operation, ...]:
    """Operations with every weighted layer as a kernel, which takes over what alone reads its result.

    Args:
        operations: of a program, in their order, on the device of the run.
        kept: names of tensors that are wanted as results.
    """
    readers: dict[str, list[Operation]] = {}
    for operation in operations:
        for name in set(operation.inputs):
            readers.setdefault(name, []).append(operation)

    def only_reader(name: str) -> Operation | None:
        found = readers.get(name, [])
        return found[0] if len(found) == 1 and name not in kept else None

    planned: list[Operation] = []
    taken: set[str] = set()
    for operation in operations:
        if isinstance(operation, Weighted):
            together = _with_followers(operation, only_reader)
            taken |= {part.output for part in together.parts}
            planned.append(together)
        elif operation.output not in taken:
            planned.append(operation)
    return tuple(planned)


def _with_followers(weighted: Weighted, only_reader: Callable[[str], Operation | None]) -> KernelOperation:
    rescale = only_reader(weighted.output)
    if not isinstance(rescale, Rescale) or len(rescale.inputs) != 1:
        rescale = None
    look_up = None if rescale is None else only_reader(rescale.output)
    if not isinstance(look_up, LookUp):
        look_up = None
    return KernelOperation(
        inputs=weighted.inputs,
        output=(look_up or rescale or weighted).output,
        layer=weighted.layer,
        weighted=weighted,
        rescale=rescale,
        look_up=look_up,
    )
