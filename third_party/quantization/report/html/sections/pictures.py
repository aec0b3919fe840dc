"""Detections of both models side by side."""

from ...json_report import data_uri
from ...model import Report
from ..elements import Html, markup, tag


def section(report: Report) -> Html | None:
    """Pairs of pictures, which the page itself holds."""
    if not report.pictures:
        return None
    pairs = []
    for pair in report.pictures:
        both = [_picture("Float", pair.before, pair.caption), _picture("Quantized", pair.after, pair.caption)]
        pairs.append(tag("figure", tag("figcaption", pair.caption), tag("div", both, class_="pair"), class_="pictures"))
    return markup(pairs)


def _picture(model: str, png: bytes, caption: str) -> Html:
    shown = tag("img", src=data_uri(png), alt=f"{caption}: detections of the {model.lower()} model", loading="eager")
    return tag("div", tag("p", model, class_="muted"), shown)
