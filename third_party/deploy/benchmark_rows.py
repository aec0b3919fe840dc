"""What a benchmark of exported files measures, and how it is shown."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

SCOPES = ("model", "end to end")
TORCH_ENGINES = ("torch", "torch-cuda")


@dataclass(frozen=True)
class Task:
    """One row to measure.

    Attributes:
        file: an ONNX file, or a ``.pt2`` program for the engine "torch".
        precision: what the row is called: "float32", "float16", "int8".
        engine: name of a runner, "torch", or "torch-cuda".
        threads: 0 for all.
        scope: "model" runs the file on a ready tensor; "end to end" decodes and resizes an image, pads it, runs the
            file, and gives detections.
        height, width: of the tensor in pixels; the image is resized to fit.
        images: pictures for "end to end", used in turns.
        input_format: order of the channels.
        pad_values: of the padding of each channel.
        size_divisibility: of height and width.
        takes_sizes: whether the file wants the sizes of the images.
        runs, warm_up: calls that count, and calls before them.
    """

    file: str
    precision: str
    engine: str
    threads: int = 1
    scope: str = "model"
    height: int = 640
    width: int = 640
    images: tuple[str, ...] = ()
    input_format: str = "BGR"
    pad_values: tuple[float, ...] = (0.0, 0.0, 0.0)
    size_divisibility: int = 32
    takes_sizes: bool = False
    runs: int = 20
    warm_up: int = 3

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise ValueError(f"scope is {self.scope!r}, allowed are {', '.join(SCOPES)}")
        if self.scope == "end to end" and not self.images:
            raise ValueError("scope 'end to end' needs images")
        for name in ("runs", "height", "width", "size_divisibility"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, allowed are 1 and more")
        for name in ("threads", "warm_up"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, allowed are 0 and more")
        for name in ("height", "width"):
            if getattr(self, name) % self.size_divisibility:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be a multiple of {self.size_divisibility}")


@dataclass(frozen=True)
class Row:
    """One result.

    Attributes:
        task: what was measured.
        median_ms, p90_ms: wall time of one image, milliseconds; None if it failed.
        images_per_second: from the mean time.
        memory_mib: most memory that engine, file and images took, beyond the process before it loaded the engine.
        file_mib: size of the file.
        watts: mean power of the processor or the GPU while it ran; None without a sensor.
        error: why there is no result.
        cpu_ms: median CPU time of one image, all threads together, milliseconds; where other work runs beside it,
            it says more than wall time.
    """

    task: Task
    median_ms: float | None = None
    p90_ms: float | None = None
    images_per_second: float | None = None
    memory_mib: float | None = None
    file_mib: float | None = None
    watts: float | None = None
    error: str | None = None
    cpu_ms: float | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain values, those of the task beside those of the result."""
        own = dataclasses.asdict(self)
        return {**own.pop("task"), **own}


COLUMNS = (
    "scope",
    "engine",
    "precision",
    "threads",
    "median ms",
    "p90 ms",
    "CPU ms",
    "images/s",
    "memory MiB",
    "file MiB",
    "W",
)


def table(rows: Sequence[Row]) -> str:
    """The rows as text; below it, why some have no result."""
    from tabulate import tabulate

    cells = [
        [
            row.task.scope,
            row.task.engine,
            row.task.precision,
            row.task.threads or "all",
            row.median_ms,
            row.p90_ms,
            row.cpu_ms,
            row.images_per_second,
            row.memory_mib,
            row.file_mib,
            row.watts,
        ]
        for row in rows
    ]
    shown = str(tabulate(cells, headers=COLUMNS, floatfmt=".1f", missingval="-"))
    failed = [
        f"{row.task.engine}, {row.task.precision}, {row.task.scope}: {row.error}"
        for row in rows
        if row.error is not None
    ]
    return "\n".join([shown, *dict.fromkeys(failed)])
