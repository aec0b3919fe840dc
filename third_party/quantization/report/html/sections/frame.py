"""What sections have in common."""

from ..elements import Child, Html, tag


def frame(title: str, *children: Child) -> Html:
    """A section under its heading."""
    name = anchor(title)
    heading = tag("h2", title, id=f"{name}-title")
    return tag("section", heading, *children, id=name, aria_labelledby=f"{name}-title")


def anchor(title: str) -> str:
    """What links to a section lead to."""
    return title.lower().replace(" ", "-")


def note(text: str) -> Html | None:
    """A remark below a heading; None for none."""
    return tag("p", text, class_="note") if text else None


def verdict(text: str, good: bool | None = None) -> Html | None:
    """A sentence that sums up; None for none."""
    if not text:
        return None
    return tag("p", text, class_="verdict" + ("" if good is None else " good" if good else " bad"))
