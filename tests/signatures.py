"""Signatures as text: parsed and compared by parameter names, kinds and defaults, not by annotations."""

import ast
import inspect
import re
from typing import Any, NamedTuple

OPENING, CLOSING = "([{<", ")]}>"


class Parameter(NamedTuple):
    """One parameter; ``default`` is its normalised text, or None."""

    name: str
    kind: str  # "positional", "keyword", "*" or "**"
    default: str | None


def split_outside(text: str, separator: str) -> list[str]:
    """Split at the separators that stand outside of brackets and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in OPENING:
            depth += 1
        elif char in CLOSING and text[at - 1 : at + 1] != "->":
            depth -= 1
        elif char == separator and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def normalise(default: str) -> str:
    """The same value in one spelling; objects without a literal are all alike."""
    default = default.strip()
    try:
        return repr(ast.literal_eval(default))
    except (ValueError, SyntaxError):
        return "object" if default.startswith("<") else re.sub(r"^.*\.", "", default)


def parse(signature: str) -> list[Parameter]:
    """``"(self, x: int = 1, *, y)"`` -> parameters."""
    arguments = split_outside(signature, "-")[0].strip()  # without "-> type"
    parameters, kind = [], "positional"
    for part in split_outside(arguments[1:-1], ","):
        part = part.strip()
        if part in ("", "/"):
            continue
        if part == "*":
            kind = "keyword"
            continue
        declared, *default = split_outside(part, "=")
        name = declared.split(":")[0].strip()
        own_kind = "**" if name.startswith("**") else "*" if name.startswith("*") else kind
        if own_kind == "*":
            kind = "keyword"
        parameters.append(Parameter(name.lstrip("*"), own_kind, normalise("=".join(default)) if default else None))
    return parameters


def differences(expected: str, actual: str) -> list[str]:
    """What ``actual`` lacks of ``expected``. More parameters are fine where a caller may leave them out."""
    ours = parse(actual)
    by_name = {p.name: p for p in ours}
    wanted = parse(expected)
    problems = [
        f"no parameter {p.name}" for p in wanted if p.kind in ("positional", "keyword") and p.name not in by_name
    ]
    for parameter in wanted:
        own = by_name.get(parameter.name, parameter)
        if parameter.kind in ("*", "**"):
            if not any(p.kind == parameter.kind for p in ours):
                problems.append(f"takes no {parameter.kind}{parameter.name}")
        elif own != parameter and not (own.kind == "positional" and own._replace(kind="keyword") == parameter):
            problems.append(f"{parameter.name}: {own.kind}, default {own.default}, not {parameter[1:]}")
    order = [p.name for p in wanted if p.kind == "positional"]
    if not problems and [p.name for p in ours if p.kind == "positional"][: len(order)] != order:
        problems.append(f"order is not {order}")
    known = {p.name for p in wanted}
    extra = [p.name for p in ours if p.name not in known and p.default is None and p.kind in ("positional", "keyword")]
    return problems + [f"demands {name}" for name in extra]


def signature_text(value: Any) -> str | None:
    """Signature of a callable, or None where Python knows none."""
    try:
        return str(inspect.signature(value))
    except (ValueError, TypeError):
        return None
