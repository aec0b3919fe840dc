"""Text files that appear whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_text(path: str | Path, text: str) -> Path:
    """Write a file in UTF-8; whoever looks sees the old one or the whole new one.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        # A file made by open has the usual permissions, which those of the tempfile module lack.
        place = Path(folder) / path.name
        place.write_text(text, encoding="utf-8", errors="replace", newline="\n")
        os.replace(place, path)
    return path
