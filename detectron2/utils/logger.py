"""Logging: console in colours, one file a rank, messages that repeat only now and then, small tables."""

import atexit
import functools
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, TextIO

from termcolor import colored

from detectron2.utils.file_io import PathManager

__all__ = [
    "create_small_table",
    "log_every_n",
    "log_every_n_seconds",
    "log_first_n",
    "setup_logger",
]

D2_LOG_BUFFER_SIZE_KEY: str = "D2_LOG_BUFFER_SIZE"
DEFAULT_LOG_BUFFER_SIZE: int = 1024 * 1024  # bytes

_PLAIN_FORMAT = "[%(asctime)s] %(name)s %(levelname)s: %(message)s"
_DATE_FORMAT = "%m/%d %H:%M:%S"


class _AbbreviatingFormatter(logging.Formatter):
    """Writes a short name in place of the root of the logger's name, and colours the level where wished."""

    def __init__(self, fmt: str, root: str, short: str, color: bool) -> None:
        super().__init__(fmt, datefmt=_DATE_FORMAT)
        self._root, self._short, self._color = root, short, color

    def formatMessage(self, record: logging.LogRecord) -> str:
        original = record.name
        if original == self._root or original.startswith(self._root + "."):
            record.name = self._short + original[len(self._root) :]
        try:
            line = super().formatMessage(record)
        finally:
            record.name = original  # other handlers of this record must see the full name
        if not self._color or record.levelno < logging.WARNING:
            return line
        if record.levelno == logging.WARNING:
            return f"{colored('WARNING', 'red', attrs=['blink'])} {line}"
        return f"{colored('ERROR', 'red', attrs=['blink', 'underline'])} {line}"


@functools.lru_cache  # so that a second call with the same arguments does not add the handlers again
def setup_logger(
    output: str | None = None,
    distributed_rank: int = 0,
    *,
    color: bool = True,
    name: str = "detectron2",
    abbrev_name: str | None = None,
    enable_propagation: bool = False,
    configure_stdout: bool = True,
) -> logging.Logger:
    """Set up the logger ``name``: rank 0 to the console, every rank to a file of its own.

    Further calls add files; no line is written twice to the same place.

    Args:
        output: a folder, in which ``log.txt`` is written, or a file that ends in ``.txt`` or ``.log``. Ranks above 0
            write beside it, with ``.rank<n>`` behind the name. None: no file.
        distributed_rank: this process's rank.
        color: colours on the console.
        name: root of the loggers to set up.
        abbrev_name: what stands for ``name`` in the lines; ``d2`` for detectron2, else the name itself.
        enable_propagation: hand the messages on to the parent loggers too.
        configure_stdout: write to the console at all.

    Returns:
        The logger.

    Raises:
        OSError: the file cannot be written.
    """
    if abbrev_name is None:
        abbrev_name = "d2" if name == "detectron2" else name
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.propagate = enable_propagation

    if configure_stdout and distributed_rank == 0:
        head = colored("[%(asctime)s %(name)s]: ", "green") if color else "[%(asctime)s %(name)s]: "
        fmt = head + "%(message)s" if color else _PLAIN_FORMAT
        _add_handler(logger, sys.stdout, _AbbreviatingFormatter(fmt, name, abbrev_name, color))
    if output is not None:
        stream = _cached_log_stream(_log_file(output, distributed_rank))
        _add_handler(logger, stream, _AbbreviatingFormatter(_PLAIN_FORMAT, name, abbrev_name, color=False))
    return logger


def _add_handler(logger: logging.Logger, stream: TextIO, formatter: logging.Formatter) -> None:
    for known in logger.handlers[:]:
        if isinstance(known, logging.StreamHandler) and known.stream is stream:
            logger.removeHandler(known)
    handler = logging.StreamHandler(stream)
    handler.setLevel(logging.DEBUG)
    handler.setFormatter(formatter)
    logger.addHandler(handler)


def _log_file(output: str, rank: int) -> str:
    path = output if output.endswith((".txt", ".log")) else os.path.join(output, "log.txt")
    if rank > 0:
        path = f"{path}.rank{rank}"
    PathManager.mkdirs(os.path.dirname(path) or ".")
    return path


@functools.cache  # loggers of different names share the stream of one file
def _cached_log_stream(filename: str) -> TextIO:
    stream = PathManager.open(filename, "a", buffering=_get_log_stream_buffer_size(filename))
    atexit.register(stream.close)
    return stream


def _get_log_stream_buffer_size(filename: str) -> int:
    """Local files are written line by line, so that a kill loses nothing; remote ones in large pieces."""
    if "://" not in filename:
        return 1
    return int(os.environ.get(D2_LOG_BUFFER_SIZE_KEY, DEFAULT_LOG_BUFFER_SIZE))


def _find_caller() -> tuple[str, tuple[str, int, str]]:
    """The module that called into this file, and the file, line and function of the call."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    module = frame.f_globals.get("__name__", "detectron2")
    # the main script has no logger set up for its name
    module = "detectron2" if module == "__main__" else module
    return module, (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


_LOG_COUNTS: Counter[Any] = Counter()
_LOG_TIMES: dict[Any, float] = {}


def log_first_n(
    lvl: int, msg: str, n: int = 1, *, name: str | None = None, key: str | tuple[str, ...] = "caller"
) -> None:
    """Log only the first ``n`` times.

    Args:
        lvl: level of the message, as in ``logging``.
        msg: the message.
        n: how often to log it.
        name: logger; the caller's module by default.
        key: what makes two calls the same: ``"caller"`` (file, line and function), ``"message"``, or both in a tuple.

    Raises:
        ValueError: ``key`` names something else.
    """
    caller_module, caller = _find_caller()
    parts = (key,) if isinstance(key, str) else tuple(key)
    if not parts or not set(parts) <= {"caller", "message"}:
        raise ValueError(f"log_first_n: key must be 'caller', 'message' or a tuple of them, not {key!r}")
    identity = (caller if "caller" in parts else None, msg if "message" in parts else None)
    _LOG_COUNTS[identity] += 1
    if _LOG_COUNTS[identity] <= n:
        logging.getLogger(name or caller_module).log(lvl, msg)


def log_every_n(lvl: int, msg: str, n: int = 1, *, name: str | None = None) -> None:
    """Log the first and then every ``n``-th call from the same line.

    Args:
        lvl: level of the message, as in ``logging``.
        msg: the message.
        n: calls from one message to the next.
        name: logger; the caller's module by default.
    """
    caller_module, caller = _find_caller()
    _LOG_COUNTS[caller] += 1
    if n == 1 or _LOG_COUNTS[caller] % n == 1:
        logging.getLogger(name or caller_module).log(lvl, msg)


def log_every_n_seconds(lvl: int, msg: str, n: float = 1, *, name: str | None = None) -> None:
    """Log the first call from a line, and then no more often than every ``n`` seconds.

    Args:
        lvl: level of the message, as in ``logging``.
        msg: the message.
        n: seconds from one message to the next.
        name: logger; the caller's module by default.
    """
    caller_module, caller = _find_caller()
    now = time.monotonic()
    last = _LOG_TIMES.get(caller)
    if last is None or now - last >= n:
        logging.getLogger(name or caller_module).log(lvl, msg)
        _LOG_TIMES[caller] = now


def create_small_table(small_dict: Mapping[str, Any]) -> str:
    """A table of one row in pipe format, for a handful of entries.

    Args:
        small_dict: column title to value; floats are shown with three decimals.
    """
    from tabulate import tabulate

    return tabulate(
        [list(small_dict.values())],
        headers=list(small_dict.keys()),
        tablefmt="pipe",
        floatfmt=".3f",
        stralign="center",
        numalign="center",
    )


def _log_api_usage(identifier: str) -> None:
    """Count the use of a part of the package with PyTorch's own usage logger, which is silent unless configured."""
    import torch

    torch._C._log_api_usage_once(f"detectron2.{identifier}")
