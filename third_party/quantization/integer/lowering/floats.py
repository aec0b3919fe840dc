"""What is computed in float: before the first and behind the last integer."""

from ..operations import FLOAT
from .calls import Call
from .parts import DIVIDING, slices
from .values import Constant, FloatTensor, Scalar, Value, values_in


def float_steps(call: Call) -> Value | tuple[Value, ...]:
    """The results of an operator in float.

    Raises:
        IntegerLoweringError: an operator that programs do not have.
    """
    if not isinstance(call.result, (list, tuple)):
        return _float_step(call)
    if call.name not in DIVIDING:
        raise call.refuse("integer programs have no such operator", "Leave it out of the traced part")
    return tuple(_float_step(part) for part in slices(call))


def _float_step(call: Call) -> FloatTensor:
    """One result; it remembers whether integers went into it."""
    origin = call.origin
    if call.name not in FLOAT:
        raise call.refuse(
            "integer programs have no such operator",
            "Leave it out of the traced part; convolutions and linear layers need quantized weights and inputs",
        )
    tensors = [value for value in values_in([*origin.arguments, origin.keywords]) if not isinstance(value, Scalar)]
    left = next((value.left for value in tensors if isinstance(value, FloatTensor) and value.left), None)
    if left is None and not all(isinstance(value, (FloatTensor, Constant)) for value in tensors):
        left = origin
    name = call.builder.step(
        origin.operator, list(origin.arguments), origin.keywords, origin.layer, call.builder.as_float, floating=True
    )
    return FloatTensor(tensor=name, left=left, rank=call.rank, origin=origin)
