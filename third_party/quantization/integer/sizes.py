"""Sizes that depend on the inputs' sizes: small trees of whole numbers, in place of a language to be executed."""

from collections.abc import Callable, Mapping
from typing import Any

import sympy

# {"op": name, "args": [...]}, {"symbol": name}, or a whole number
Size = Any

_OPERATIONS: dict[str, Callable[..., Any]] = {
    "Add": lambda *args: sum(args),
    "Mul": lambda *args: _product(args),
    "FloorDiv": lambda a, b: a // b,
    "CleanDiv": lambda a, b: a // b,
    "CeilToInt": lambda a: -(-a // 1),
    "floor": lambda a: a // 1,
    "ceiling": lambda a: -(-a // 1),
    "Mod": lambda a, b: a % b,
    "PythonMod": lambda a, b: a % b,
    "Max": max,
    "Min": min,
}


def encode(expression: sympy.Basic) -> Size:
    """The tree of a symbolic size.

    Raises:
        ValueError: an operation that sizes of a program do not have.
    """
    if isinstance(expression, sympy.Integer):
        return int(expression)
    if isinstance(expression, sympy.Symbol):
        return {"symbol": expression.name}
    name = type(expression).__name__
    if name not in _OPERATIONS:
        raise ValueError(f"a size {expression} is no sum, product, quotient or remainder of input sizes")
    return {"op": name, "args": [encode(argument) for argument in expression.args]}


def evaluate(size: Size, symbols: Mapping[str, int]) -> int:
    """The number that a tree stands for, given the sizes that its symbols name."""
    if isinstance(size, int):
        return size
    if "symbol" in size:
        return symbols[size["symbol"]]
    return int(_OPERATIONS[size["op"]](*(evaluate(argument, symbols) for argument in size["args"])))


def bind(size: Size, number: int, symbols: dict[str, int]) -> bool:
    """Let a dimension of an input decide its symbol; whether the number fits.

    Args:
        size: a number, a symbol, or a multiple of a symbol.
        number: what the dimension is.
        symbols: gets the symbol's value, or has it already.
    """
    if isinstance(size, int):
        return size == number
    factor = 1
    if "op" in size and size["op"] == "Mul" and len(size["args"]) == 2 and isinstance(size["args"][0], int):
        factor, size = size["args"]
    if "symbol" not in size or number % factor:
        return False
    return symbols.setdefault(size["symbol"], number // factor) == number // factor


def describe(size: Size) -> str:
    """A tree as text."""
    if isinstance(size, int):
        return str(size)
    if "symbol" in size:
        return str(size["symbol"])
    return f"{size['op']}({', '.join(describe(argument) for argument in size['args'])})"


def _product(numbers: tuple[int, ...]) -> int:
    result = 1
    for number in numbers:
        result *= number
    return result
