"""Removes what the outputs do not need."""

from collections.abc import Iterable, Mapping

from ..operations import Operation
from ..program import QuantizedTensor


def prune(
    operations: Iterable[Operation], outputs: Iterable[str], quantized: Mapping[str, QuantizedTensor]
) -> tuple[tuple[Operation, ...], dict[str, QuantizedTensor]]:
    """The operations that lead to the outputs, in their order, and the quantized tensors that they make."""
    needed, kept = set(outputs), []
    for operation in reversed(list(operations)):
        if operation.output in needed:
            needed |= set(operation.inputs)
            kept.append(operation)
    made = {operation.output for operation in kept}
    return tuple(kept[::-1]), {name: tensor for name, tensor in quantized.items() if tensor.tensor in made}
