"""Mistakes in the images of a data set."""

import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .check_boxes import is_number
from .findings import Findings
from .image_io import _apply_exif_orientation


def check_image_entries(images: Iterable[dict], found: Findings) -> None:
    """Checks ids, names and sizes as the json states them."""
    for image_id, count in Counter(image.get("id") for image in images).items():
        if count > 1:
            found.error("repeated image id", f"image {image_id!r}, {count} times")
    for name, count in Counter(image.get("file_name") for image in images).items():
        if count > 1:
            found.error("image listed twice", f"{name}, {count} times")
    for image in images:
        size = image.get("width"), image.get("height")
        if not all(is_number(v) and v > 0 for v in size):
            found.error("image without size", f"{image.get('file_name')}: width, height {size}")


def check_image_files(images: Iterable[dict], root: Path, fast: bool, found: Findings) -> dict[str, str]:
    """Opens each image.

    Args:
        images: those of the json.
        root: their folder.
        fast: read headers only; neither truncated images nor duplicates are found then.
        found: what is found is added here.

    Returns:
        Digest of the content by file name; empty if ``fast``.
    """
    digests: dict[str, str] = {}
    names_of: defaultdict[str, list[str]] = defaultdict(list)
    for image in images:
        name = image["file_name"]
        path = root / name
        if not path.is_file():
            found.error("missing file", str(path))
            continue
        if name in digests:
            continue
        content = None if fast else path.read_bytes()
        _check_size(image, path, content, found)
        if content is not None:
            digests[name] = hashlib.sha256(content).hexdigest()
            names_of[digests[name]].append(name)
    for names in names_of.values():
        if len(names) > 1:
            found.warning("duplicate image", " = ".join(names))
    return digests


def _check_size(image: dict[str, Any], path: Path, content: bytes | None, found: Findings) -> None:
    from PIL import Image

    try:
        with Image.open(path if content is None else io.BytesIO(content)) as picture:
            if content is not None:
                picture.load()
            # Width and height as the loader sees them.
            size = _apply_exif_orientation(picture).size
            turned = picture.size != size
    except Exception as error:  # whatever a decoder raises, the file cannot be read
        found.error("unreadable image", f"{path}: {error}")
        return
    if size != (image.get("width"), image.get("height")):
        note = " after its EXIF rotation" if turned else ""
        stated = f"{image.get('width')}x{image.get('height')}"
        found.error("size mismatch", f"{path} is {size[0]}x{size[1]}{note}, the json says {stated}")
