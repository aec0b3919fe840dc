"""What cannot be run with integers, said with the layer's name."""

from torch.fx import Node


class IntegerLoweringError(ValueError):
    """A part of a traced model has no form in integers."""


def layer_of(node: Node) -> str:
    """Qualified name of the innermost module that a node comes from; "" for the model itself."""
    stack = node.meta.get("nn_module_stack") or {}
    return str(list(stack.values())[-1][0]) if stack else ""


def refusal(layer: str, operator: str, problem: str, remedy: str) -> IntegerLoweringError:
    """The error for one operator.

    Args:
        layer: qualified name of the module.
        operator: what it does there.
        problem: why that is no integer arithmetic.
        remedy: what to change.
    """
    place = f"layer {layer!r}" if layer else "the model"
    return IntegerLoweringError(f"{place}, {operator}: {problem}. {remedy}")
