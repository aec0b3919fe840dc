"""Markup that is escaped by construction: text is text unless it is :class:`Html`."""

import html
import re
from collections.abc import Iterable
from typing import Union

Child = Union["Html", str, int, None, Iterable["Child"]]
Attribute = str | int | float | bool | None

_VOID = {"br", "col", "img", "meta"}
# Characters that HTML and XML do not allow, which browsers complain about or drop.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Html(str):
    """Text that is markup already, and is not escaped again."""

    __slots__ = ()


def escape(text: str) -> Html:
    """Text as markup that shows it."""
    return Html(html.escape(_FORBIDDEN.sub("\ufffd", text), quote=True))


def markup(*children: Child) -> Html:
    """Children in a row; None is nothing, and text is escaped."""
    return Html("".join(_pieces(children)))


def _pieces(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            yield child
        elif isinstance(child, (str, int)):
            yield escape(str(child))
        else:
            yield from _pieces(child)


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """An element.

    Args:
        name: of the element.
        children: what is in it.
        attributes: ``class_`` is ``class``, ``data_value`` is ``data-value``; one that is None or False is left out,
            True has no value. Numbers are written short.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{markup(*children)}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    key = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {key}"
    if isinstance(value, float):
        value = f"{value:.6g}"
    return f' {key}="{escape(str(value))}"'
