"""Sums, products, limits and functions value by value."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .builder import as_affine
from .calls import Call, handles
from .functions import common_roots
from .values import Affine, Clipped, Constant, IntegerValue, Origin, Pointwise, Scaled, Term, Value, values_in

_FUNCTIONS = (
    "silu sigmoid hardswish hardsigmoid mish gelu leaky_relu tanh elu softplus exp log abs pow sqrt rsqrt square "
    "reciprocal celu selu softsign log_sigmoid hardshrink softshrink threshold neg floor round sign"
).split()


@handles("add", "sub")
def add(call: Call) -> Value | None:
    """A sum of branches, or of a branch and constants."""
    a, b = call.origin.arguments[:2]
    factor = float(call.argument("alpha", 1)) * (-1.0 if call.name == "sub" else 1.0)
    left, right = (_summand(value, call) for value in (a, b))
    if left is None or right is None or not (left.terms or right.terms):
        return pointwise(call)
    axes = {part.axis for part in (left, right) if _per_channel(part)}
    if len(axes) > 1:
        return None
    terms = (*left.terms, *(Term(t.tensor, t.zero_point, t.scale * factor, t.reach) for t in right.terms))
    axis = axes.pop() if axes else 1
    return Affine(terms=terms, bias=left.bias + factor * right.bias, axis=axis, **_common(call))


@handles("mul", "div")
def multiply(call: Call) -> Value | None:
    """A product with constants, one or one a channel; with another function of the same tensor."""
    a, b = call.origin.arguments[:2]
    if call.name == "mul" and not isinstance(a, IntegerValue):
        a, b = b, a
    if isinstance(a, Pointwise) and isinstance(b, Constant) and b.tensor.numel() > 1:
        return _scaled(a, b, call)
    affine = as_affine(a) if isinstance(a, IntegerValue) else None
    if affine is None or isinstance(b, IntegerValue) or call.argument("rounding_mode") is not None:
        return pointwise(call)
    constant = _channels(b, call)
    if constant is None:
        return None
    factor, axis = constant
    factor = 1.0 / factor if call.name == "div" else factor
    if factor.dim() and _per_channel(affine) and axis != affine.axis:
        return None
    terms = tuple(Term(t.tensor, t.zero_point, t.scale * factor, t.reach) for t in affine.terms)
    return Affine(terms=terms, bias=affine.bias * factor, axis=axis if factor.dim() else affine.axis, **_common(call))


def _scaled(base: Pointwise, constant: Constant, call: Call) -> Scaled | None:
    """A function times one constant a channel, as where inputs are divided before they are quantized."""
    found = _channels(constant, call)
    if found is None or bool((found[0] == 0).any()) or call.argument("rounding_mode") is not None:
        return None
    factor = 1.0 / found[0] if call.name == "div" else found[0]
    return Scaled(base=base, factor=factor, axis=found[1], origin=call.origin, rank=call.rank)


@handles("addcmul")
def add_product(call: Call) -> Value | None:
    """``a + b * c``, as batch norms write their affine part."""
    origin = call.origin
    a, b, c = origin.arguments[:3]
    if float(call.argument("value", 1)) != 1:
        return None
    product = multiply(replace(call, origin=Origin(torch.ops.aten.mul.Tensor, (b, c), {}, origin.layer)))
    if product is None:
        return None
    return add(replace(call, origin=Origin(torch.ops.aten.add.Tensor, (a, product), {}, origin.layer)))


@handles("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max")
def clip(call: Call) -> Value | None:
    """Limits of a value."""
    base = call.origin.arguments[0]
    if isinstance(base, Pointwise) or values_in(list(call.origin.arguments[1:])):
        return pointwise(call)
    low, high = _limits(call)
    if isinstance(base, Clipped):
        low, high, base = max(low, base.low), min(max(high, base.low), base.high), base.base
    return Clipped(base=base, low=low, high=high, origin=call.origin, rank=call.rank)


@handles(*_FUNCTIONS)
def pointwise(call: Call) -> Value | None:
    """A function of one tensor; None where its operands are functions of different ones."""
    values = values_in([*call.origin.arguments, call.origin.keywords])
    operands = [value for value in values if isinstance(value, IntegerValue)]
    others = [value for value in values if not isinstance(value, IntegerValue)]
    if not all(isinstance(value, Constant) and value.tensor.numel() == 1 for value in others):
        return None
    roots = common_roots(operands)
    return Pointwise(origin=call.origin, roots=roots, rank=call.rank) if roots else None


def _common(call: Call) -> dict[str, Any]:
    """Fields of a sum or product: it can also be seen as a function of its only operand."""
    values = values_in(list(call.origin.arguments))
    operands = [value for value in values if isinstance(value, IntegerValue)]
    plain = all(value.tensor.numel() == 1 for value in values if isinstance(value, Constant))
    return {"origin": call.origin, "rank": call.rank, "roots": common_roots(operands) if plain else ()}


def _limits(call: Call) -> tuple[float, float]:
    if call.name == "relu":
        return 0.0, math.inf
    if call.name == "relu6":
        return 0.0, 6.0
    names = ("min_val", "max_val") if call.name == "hardtanh" else ("min", "max")
    low, high = (call.argument(name) for name in names)
    return -math.inf if low is None else float(low), math.inf if high is None else float(high)


def _per_channel(affine: Affine) -> bool:
    numbers = [affine.bias, *(n for term in affine.terms for n in (term.scale, term.zero_point))]
    return any(n.numel() > 1 for n in numbers)


def _summand(value: Any, call: Call) -> Affine | None:
    """An operand of a sum: terms, or no terms and only a bias."""
    if isinstance(value, IntegerValue):
        return as_affine(value)
    constant = _channels(value, call)
    return None if constant is None else Affine(terms=(), bias=constant[0], axis=constant[1])


def _channels(value: Any, call: Call) -> tuple[Tensor, int] | None:
    """A constant as float64 ``Tensor[]`` or ``Tensor[C]`` with its axis; None where it is neither."""
    if isinstance(value, (bool, int, float)):
        return torch.tensor(float(value), dtype=torch.float64), 1
    if not isinstance(value, Constant):
        return None
    tensor, rank = value.tensor.double(), call.rank
    if tensor.numel() == 1:
        return tensor.reshape(()), 1
    wide = [axis for axis, size in enumerate(tensor.shape) if size > 1]
    return (tensor.reshape(-1), rank - tensor.dim() + wide[0]) if len(wide) == 1 else None
