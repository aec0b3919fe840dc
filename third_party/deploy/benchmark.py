"""Measures exported files on the engines that are installed, each row in a process of its own."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from ..quantization.export.runners import installed
from .benchmark_rows import SCOPES, TORCH_ENGINES, Row, Task
from .parts import InputFacts

_ROOT = Path(__file__).resolve().parents[2]


def engines_here() -> list[str]:
    """Engines that can run on this machine, the GPU's only where there is one."""
    return [*installed(), "torch", *(["torch-cuda"] if torch.cuda.is_available() else [])]


def plan(
    files: Mapping[str, Path],
    facts: InputFacts,
    *,
    engines: Sequence[str],
    threads: Sequence[int],
    size: tuple[int, int],
    images: Sequence[str] = (),
    runs: int = 20,
) -> list[Task]:
    """All rows that go with these files.

    Args:
        files: precision -> ONNX file or ``.pt2`` program; several engines run the former, PyTorch the latter.
        facts: how the files are fed.
        engines: names of engines.
        threads: numbers of threads, 0 for all.
        size: height and width of the tensor.
        images: pictures for the rows end to end; without, there are none.
        runs: calls that count, for each row.

    Raises:
        ValueError: an unknown engine, or settings out of range.
        FileNotFoundError: files or pictures that do not exist.
    """
    for path in [*files.values(), *map(Path, images)]:
        if not path.is_file():
            raise FileNotFoundError(f"no file {path}")
    known = engines_here()
    if unknown := [engine for engine in engines if engine not in known]:
        raise ValueError(f"engines {', '.join(unknown)} cannot run here; there are {', '.join(known)}")
    return [
        Task(
            file=str(path.resolve()),
            precision=precision,
            engine=engine,
            threads=count,
            scope=scope,
            height=size[0],
            width=size[1],
            images=tuple(str(Path(image).resolve()) for image in images) if scope == "end to end" else (),
            input_format=facts.input_format,
            pad_values=facts.pad_values,
            size_divisibility=facts.size_divisibility,
            takes_sizes=facts.takes_sizes,
            runs=runs,
        )
        for scope in SCOPES
        if scope == "model" or images
        for engine in engines
        for precision, path in files.items()
        if (path.suffix == ".pt2") == (engine in TORCH_ENGINES)
        for count in threads
    ]


def run_in_child(task: Task, timeout: float = 600.0) -> Row:
    """Measure a row in a process of its own; a failure is told in the row.

    Args:
        task: what to measure.
        timeout: seconds after which the process is ended.
    """
    command = [sys.executable, "-m", f"{__package__}.benchmark_child"]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(dataclasses.asdict(task)),
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=_ROOT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Row(task, error=f"took more than {timeout:g} s")
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return Row(task, error=lines[-1] if lines else f"the process ended with {done.returncode}")
    return Row(task, **json.loads(done.stdout.strip().splitlines()[-1]))
