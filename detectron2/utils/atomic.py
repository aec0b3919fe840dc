"""Files that are there as a whole or not at all."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import IO, Any


@contextlib.contextmanager
def atomic_write(path: str, what: str) -> Iterator[IO[bytes]]:
    """Open a file for writing that takes the place of ``path`` only once it is complete and on the disk.

    The bytes go to ``<path>.tmp``, are flushed to the disk, and the file is renamed. A full disk, an exception or a
    kill in between leaves the former ``path`` as it was.

    Args:
        path: local path.
        what: what is written, for the error.

    Raises:
        OSError: writing failed; the message names the path and the reason. The temporary file is removed.
    """
    temporary = f"{path}.tmp"
    file = _ErrorKeepingFile(temporary)
    try:
        with file:
            yield file  # type: ignore[misc]
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(os.path.dirname(path) or ".")
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        cause = error if isinstance(error, OSError) else file.first_error
        if cause is None:
            raise
        state = "the former file is unchanged" if os.path.exists(path) else "nothing was left behind"
        reason = cause.strerror or cause
        raise OSError(cause.errno, f"could not write {what} {path}: {reason}; {state}") from error


class _ErrorKeepingFile:
    """A binary file that remembers its first OS error, because ``torch.save`` turns it into one without the reason."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: Any = None
        self.first_error: OSError | None = None

    def __enter__(self) -> "_ErrorKeepingFile":
        self._file = open(self._path, "wb")
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError) if self.first_error else contextlib.nullcontext():
            self._file.close()

    def _watched(self, call: Callable, *args: Any) -> Any:
        try:
            return call(*args)
        except OSError as error:
            self.first_error = self.first_error or error
            raise

    def write(self, data: Any) -> int:
        return self._watched(self._file.write, data)

    def flush(self) -> None:
        self._watched(self._file.flush)

    def fileno(self) -> int:
        return self._file.fileno()


def _sync_folder(folder: str) -> None:
    """Bring the renaming itself to the disk, where the system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
