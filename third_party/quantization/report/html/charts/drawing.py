"""What all charts are drawn with: vector graphics in the page itself, coloured by its style sheet."""

from collections.abc import Sequence

from ..elements import Attribute, Child, Html, tag


def chart(title: str, width: float, height: float, *children: Child, legend: Sequence[str] = ()) -> Html:
    """A drawing with a title that is read out; above it the series' names, each beside its colour."""
    drawing = tag(
        "svg",
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        role="img",
        aria_label=title,
        class_="chart",
        focusable="false",
    )
    names = [tag("li", tag("span", class_=f"key s{i}", aria_hidden="true"), name) for i, name in enumerate(legend)]
    return tag("figure", tag("figcaption", title), tag("ul", names, class_="legend") if names else None, drawing)


def text(x: float, y: float, content: str, *, anchor: str = "start", class_: str | None = None) -> Html:
    """Text at a place; ``y`` is its middle."""
    return tag("text", content, x=x, y=y, text_anchor=anchor, dominant_baseline="central", class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Html:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def rectangle(x: float, y: float, width: float, height: float, class_: str, hint: str | None = None) -> Html:
    """A filled box, with a hint shown where the pointer is; at least half a unit wide and high so as to be seen."""
    place: dict[str, Attribute] = {"x": x, "y": y, "width": max(width, 0.5), "height": max(height, 0.5)}
    return tag("rect", None if hint is None else tag("title", hint), **place, class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str, *, closed: bool = False) -> Html | None:
    """Straight lines through points."""
    if not points:
        return None
    steps = "L".join(f"{x:.2f} {y:.2f}" for x, y in points)
    return tag("path", d=f"M{steps}{'Z' if closed else ''}", class_=class_)


def shortened(name: str, letters: int) -> str:
    """A name cut at its beginning: the ends of qualified names tell more."""
    return name if len(name) <= letters else "\N{HORIZONTAL ELLIPSIS}" + name[1 - letters :]
