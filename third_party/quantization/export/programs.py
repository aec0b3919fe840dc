"""Traced programs as files of PyTorch."""

from pathlib import Path

import torch
from torch.export import ExportedProgram

from ..files import write_whole
from . import nodes  # noqa: F401  a program's operators must be defined before it is read


def save_program(program: ExportedProgram, path: str | Path) -> Path:
    """Write a program as ``.pt2``; the file appears whole or not at all.

    Raises:
        ValueError: another suffix.
        OSError: the file cannot be written.
    """
    _check_suffix(path)
    return write_whole(path, lambda place: torch.export.save(program, place))


def load_program(path: str | Path) -> ExportedProgram:
    """Read what :func:`save_program` wrote.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no program {path}")
    return torch.export.load(path)


def compile_package(program: ExportedProgram, path: str | Path) -> Path:
    """Compile a program ahead of time (AOTInductor) for this machine's kind of processor.

    ``torch._inductor.aoti_load_package`` loads it. Quantization is simulated in it: it is as fast as a float model.

    Args:
        program: from :func:`~.trace.trace`.
        path: the package to write, ``.pt2``.

    Returns:
        the path.

    Raises:
        ValueError: another suffix.
        RuntimeError: there is no C++ compiler, or the compiler does not take the program.
        OSError: the file cannot be written.
    """
    _check_suffix(path)
    # Asked for here: importing the compiler takes seconds.
    from torch._inductor import aoti_compile_and_package

    def compile_to(place: Path) -> None:
        try:
            aoti_compile_and_package(program, package_path=str(place))
        except OSError:
            raise
        except Exception as error:
            raise RuntimeError(f"AOTInductor does not compile the program: {error}") from error

    return write_whole(path, compile_to)


def _check_suffix(path: str | Path) -> None:
    if Path(path).suffix != ".pt2":
        raise ValueError(f"a program's file must end in .pt2, got {path}")
