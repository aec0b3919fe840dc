"""Measures one row in a process of its own: reads a task as JSON from standard input, prints the row as JSON."""

import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from ..quantization.export.runners import find_runner
from .benchmark_rows import TORCH_ENGINES, Row, Task
from .memory import peak_bytes, reset_peak
from .parts import InputFacts
from .power import PowerMeter
from .prediction import BatchedInputs, Session, pixel_batch, to_instances
from .programs import TorchProgram

_MIB = 2.0**20


def measure(task: Task) -> Row:
    """Load the file, run it, and watch time, memory and power.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown engine, or a program of another form than "suppressed" end to end.
        ImportError: the engine is not installed.
    """
    facts = InputFacts(task.pad_values, task.size_divisibility, task.takes_sizes)
    prepared = None if task.scope == "end to end" else _tensor(task)
    if task.scope == "end to end":
        _inputs_of(task, task.images[0])  # libraries that decode and resize are loaded before memory is counted
    base = reset_peak()
    session = load(task)
    if prepared is not None:
        return _timed(task, base, lambda: session.run(prepared))
    pictures = itertools.cycle(task.images)
    return _timed(task, base, lambda: _detect(session, facts, _inputs_of(task, next(pictures))))


def load(task: Task) -> Session:
    """The task's file in the task's engine."""
    if task.engine in TORCH_ENGINES:
        if task.threads:
            torch.set_num_threads(task.threads)
        return TorchProgram(task.file, "cuda" if task.engine == "torch-cuda" else "cpu")
    session: Session = find_runner(task.engine).load(task.file, threads=task.threads)
    return session


def _tensor(task: Task) -> list[np.ndarray]:
    shape = (1, len(task.pad_values), task.height, task.width)
    pixels = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    return [pixels, np.array([[task.height, task.width]], np.float32)] if task.takes_sizes else [pixels]


def _inputs_of(task: Task, path: str) -> BatchedInputs:
    """An image from its file, resized to fit into the task's height and width."""
    from detectron2.data import transforms as T
    from detectron2.data.detection_utils import read_image

    image = read_image(path, format=task.input_format)
    height, width = image.shape[:2]
    factor = min(task.height / height, task.width / width)
    size = max(1, round(height * factor)), max(1, round(width * factor))
    resized = T.ResizeTransform(height, width, *size).apply_image(image)
    pixels = torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))
    return [{"image": pixels, "height": height, "width": width}]


def _detect(session: Session, facts: InputFacts, inputs: BatchedInputs) -> object:
    pixels, sizes = pixel_batch(facts, inputs)
    arrays = [pixels.numpy(), sizes.numpy()] if facts.takes_sizes else [pixels.numpy()]
    outputs = [torch.from_numpy(np.ascontiguousarray(output)) for output in session.run(arrays)]
    if len(outputs) < 4:
        raise ValueError("end to end needs a file with suppression in the graph (form 'suppressed')")
    return to_instances(outputs, inputs)


def _timed(task: Task, base: int, call: Callable[[], object]) -> Row:
    for _ in range(task.warm_up):
        call()
    meter, seconds, used = PowerMeter(gpu=task.engine in ("torch-cuda", "tensorrt")), [], []
    meter.start()
    for _ in range(task.runs):
        start, cpu = time.perf_counter(), time.process_time()
        call()
        used.append(time.process_time() - cpu)
        seconds.append(time.perf_counter() - start)
    watts = meter.stop()
    ordered = sorted(seconds)
    return Row(
        task,
        median_ms=1e3 * statistics.median(ordered),
        p90_ms=1e3 * ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))],
        images_per_second=len(seconds) / sum(seconds),
        memory_mib=max(peak_bytes() - base, 0) / _MIB,
        file_mib=os.path.getsize(task.file) / _MIB,
        watts=watts,
        cpu_ms=1e3 * statistics.median(used),
    )


def main() -> None:
    values = json.load(sys.stdin)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    row = measure(Task(**values))
    print(json.dumps({key: value for key, value in row.to_dict().items() if key not in values}))


if __name__ == "__main__":
    main()
