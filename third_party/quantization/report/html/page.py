"""The whole page in one file."""

from pathlib import Path

from ...files import write_text
from ..model import Report
from .elements import Html, markup, tag
from .script import SCRIPT
from .sections import SECTIONS, anchor, frame, header, warnings
from .style import STYLE

# The page holds all it needs; whatever got into it, the browser asks nobody for more.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def render(report: Report) -> str:
    """A report as one HTML page that needs nothing else: style, script, charts and pictures are in it.

    Raises:
        ValueError: a picture that is no PNG file.
    """
    made = {title: part for title, section in SECTIONS.items() if (part := section(report)) is not None}
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", report.title),
        tag("style", Html(STYLE)),
    )
    body = tag(
        "body",
        header(report),
        _contents(list(made)),
        tag("main", warnings(report), [frame(title, part) for title, part in made.items()]),
        tag("script", Html(SCRIPT)),
    )
    return str(markup(Html("<!DOCTYPE html>\n"), tag("html", head, body, lang="en"), Html("\n")))


def write_html(report: Report, path: str | Path) -> Path:
    """Write the page; the file appears whole or not at all.

    Raises:
        ValueError: a picture that is no PNG file.
        OSError: the file cannot be written.
    """
    return write_text(path, render(report))


def _contents(titles: list[str]) -> Html | None:
    if len(titles) < 2:
        return None
    links = [tag("li", tag("a", title, href="#" + anchor(title))) for title in titles]
    return tag("nav", tag("ul", links), aria_label="Contents")
