"""What a reader of a page sees, by the standard library's parser."""

from html.parser import HTMLParser

_VOID = {"br", "col", "img", "meta"}


class Page(HTMLParser):
    """Elements of a page, and the text of its tables.

    Attributes:
        tags: name and attributes of all elements.
        text: all text outside of style and script.
        tables: caption -> rows of cells, the heading first.
        unclosed: elements left open, or closed twice.
    """

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags, self.text, self.tables, self.unclosed = [], "", {}, []
        self._open, self._caption = [], ""
        self.feed(content)
        self.close()
        self.unclosed += self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")
        if tag == "caption":
            self._caption = ""

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.unclosed.append(tag)
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        if self._open and self._open[-1] in ("style", "script"):
            return
        self.text += data
        if "caption" in self._open:
            self._caption += data
        if self._open and self._open[-1] in ("td", "th"):
            self._rows[-1][-1] += data.replace("\xa0", " ")

    def count(self, tag, **attributes):
        """How many elements there are with these attributes."""
        return sum(t == tag and attributes.items() <= a.items() for t, a in self.tags)
