"""Files of every kind as sessions."""

from collections.abc import Callable
from pathlib import Path

from ..quantization.export import RUNNERS, find_runner
from .compiled import CompiledSession
from .prediction import Session
from .programs import TorchProgram

_TORCH: dict[str, Callable[[str | Path], Session]] = {"torch": TorchProgram, "inductor": CompiledSession}

ENGINES = (*RUNNERS, *_TORCH)


def load_session(engine: str, path: str | Path, *, threads: int = 0) -> Session:
    """An exported file, ready to run.

    Args:
        engine: one of ``ENGINES``: those that run ONNX files, "torch" for ``torch.export`` programs, "inductor" for
            what AOTInductor compiled.
        path: the file.
        threads: for engines that run ONNX files; 0 leaves it to them.

    Raises:
        ValueError: an unknown engine, or a file that it does not load.
        ImportError: the engine is not installed.
        FileNotFoundError: there is no such file.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    runner = None if engine in _TORCH else find_runner(engine)
    if not Path(path).is_file():
        raise FileNotFoundError(f"engine {engine}: no file {path}")
    try:
        return _TORCH[engine](path) if runner is None else runner.load(path, threads=threads)
    except Exception as error:  # each engine has exceptions of its own
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(f"engine {engine} does not load {path}: {reason}") from error
