"""A folder of results that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_writable(folder: str) -> None:
    """Refuse an output folder before any work is done.

    Raises:
        OSError: it, or the folder that it would be made in, cannot be written.
    """
    path = Path(os.path.abspath(folder))
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"--out {folder} is a file")
    parent = path if path.is_dir() else path.parent
    with _errors_of(f"--out {folder}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        for place in {parent, path.parent}:
            _try_writing(place)


def check_file(path: str, option: str) -> None:
    """Refuse a file to write before any work is done, and leave nothing behind.

    Args:
        path: of the file; its folder may be missing.
        option: of the command line, for messages.

    Raises:
        OSError: it is a folder, or cannot be written.
    """
    file = Path(os.path.abspath(path))
    if file.is_dir():
        raise IsADirectoryError(f"{option} {path} is a folder")
    with _errors_of(f"{option} {path}"):
        _try_writing(next(folder for folder in file.parents if folder.exists()))


@contextmanager
def _errors_of(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{what} cannot be written: {error.strerror or error}") from error


def _try_writing(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass


@contextmanager
def whole_folder(folder: str) -> Iterator[Path]:
    """A new folder beside ``folder`` to write into; its files take their place when the block ends well.

    If ``folder`` exists, files of the same names are replaced one by one and others stay. When the block raises,
    ``folder`` is as it was.
    """
    check_writable(folder)
    target = Path(os.path.abspath(folder))
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield work
        _publish(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _publish(work: Path, target: Path) -> None:
    if not target.exists():
        work.chmod(0o755)
        os.rename(work, target)
        return
    for source in sorted(path for path in work.rglob("*") if path.is_file()):
        place = target / source.relative_to(work)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, place)
