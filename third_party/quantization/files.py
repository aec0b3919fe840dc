"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_whole(path: str | os.PathLike[str], write: Callable[[Path], object]) -> Path:
    """Let ``write`` make a file beside ``path``, which takes its place once it is whole.

    Args:
        path: the file to write; its folder is made if it is missing.
        write: gets the path of an empty file with the same suffix and fills it.

    Returns:
        the path.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error} ({path.parent})") from error
    os.close(handle)
    place = Path(name)
    try:
        write(place)
        place.chmod(0o666 & ~_umask())
        os.replace(place, path)
    finally:
        place.unlink(missing_ok=True)
    return path


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """:func:`write_whole` for text, as UTF-8 with plain line ends; what cannot be encoded becomes a question mark."""
    return write_whole(path, lambda place: place.write_text(text, encoding="utf-8", errors="replace", newline="\n"))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
