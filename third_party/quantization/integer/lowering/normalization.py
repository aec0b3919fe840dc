"""Batch norms that stayed behind their layer, as those that a shared layer has for each pyramid level."""

from typing import Any

import torch
from torch import Tensor

from .builder import as_affine
from .calls import Call, handles
from .values import Affine, Constant, IntegerValue, Term, Value


@handles("batch_norm", "_native_batch_norm_legit_no_training")
def batch_norm(call: Call) -> Value | tuple[Value, ...] | None:
    """Running statistics as a factor and a bias a channel."""
    value = call.origin.arguments[0]
    affine = as_affine(value) if isinstance(value, IntegerValue) else None
    if call.argument("training"):
        raise call.refuse("it computes statistics of the batch", "Trace the model in evaluation mode")
    if affine is None or affine.axis != 1:
        return None
    mean, variance = _numbers(call, "running_mean", 0.0), _numbers(call, "running_var", 1.0)
    factor = _numbers(call, "weight", 1.0) / (variance + float(call.argument("eps"))).sqrt()
    terms = tuple(Term(t.tensor, t.zero_point, t.scale * factor, t.reach) for t in affine.terms)
    bias = (affine.bias - mean) * factor + _numbers(call, "bias", 0.0)
    rank = len(call.input_shape or ())
    result = Affine(terms=terms, bias=bias, axis=1, origin=call.origin, rank=rank)
    return (result, result, result) if isinstance(call.result, (list, tuple)) else result


def _numbers(call: Call, name: str, default: float) -> Tensor:
    """float64 ``Tensor[C]``, or a number where the norm has no such parameter."""
    value: Any = call.argument(name)
    if not isinstance(value, Constant):
        return torch.tensor(default, dtype=torch.float64)
    return value.tensor.double()
