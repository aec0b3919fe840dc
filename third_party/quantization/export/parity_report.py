"""What the comparison of two executions found."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tolerance:
    """What an engine may differ by: it rounds elsewhere, so that a value halfway between levels may go either way.

    Attributes:
        steps: how many steps of its grid a quantized value may be off; of a grid of more than 10 bits, steps of
            one with 10.
        share: of the values of each quantized tensor, those that must keep to ``steps``.
        mean: largest allowed mean difference of a quantized tensor, in steps; values on a grid somewhat coarser than
            theirs are less than a step off, but most of them are off.
        output: largest allowed ratio of the difference's mean square root to that of an output of the program.
    """

    steps: float = 1.0
    share: float = 0.999
    mean: float = 0.1
    output: float = 0.05

    def __post_init__(self) -> None:
        if min(self.steps, self.mean, self.output) < 0 or not 0 < self.share <= 1:
            raise ValueError(f"steps, mean and output must be 0 or more, share above 0 and at most 1, got {self}")


@dataclass
class Difference:
    """How far two executions are apart at one tensor, over all batches.

    Attributes:
        name: of the tensor.
        step: of its grid; None for outputs.
        chosen: whether a choice among values, such as top-k, stands before it, so that it is not judged.
        count: values compared.
        largest: largest difference, in steps (outputs: in their own unit).
        total: sum of differences.
        squares, power: sums of squares of the differences, and of the expected values.
        far: for each whole number n up to 8, how many values are more than n off.
    """

    name: str
    step: float | None
    chosen: bool = False
    count: int = 0
    largest: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    power: float = 0.0
    far: list[int] = field(default_factory=lambda: [0] * 9)

    def add(self, expected: np.ndarray, given: np.ndarray) -> None:
        """Take in a batch.

        Raises:
            ValueError: shapes differ.
        """
        if expected.shape != given.shape:
            raise ValueError(f"{self.name}: shape {given.shape} in place of {expected.shape}")
        with np.errstate(invalid="ignore"):
            apart = np.abs(expected.astype(np.float64) - given.astype(np.float64))
        apart = np.where(expected == given, 0.0, np.where(np.isnan(apart), np.inf, apart))
        self.count += apart.size
        self.largest = max(self.largest, float(apart.max(initial=0.0)))
        self.total += float(apart.sum())
        self.squares += float(np.square(apart).sum())
        self.power += float(np.square(expected.astype(np.float64)).sum())
        self.far = [before + int((apart > n + 1e-2).sum()) for n, before in enumerate(self.far)]

    @property
    def mean(self) -> float:
        """Mean difference."""
        return self.total / max(self.count, 1)

    @property
    def ratio(self) -> float:
        """Root mean square of the difference over that of the expected values."""
        return float(np.sqrt(self.squares / self.power)) if self.power > 0 else float(np.sqrt(self.squares))

    def share_within(self, steps: float) -> float:
        """Share of the values that are at most so many steps off, a whole number of them up to 8."""
        return 1 - self.far[min(int(steps), 8)] / max(self.count, 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "step": self.step,
            "chosen": self.chosen,
            "count": self.count,
            "largest": self.largest,
            "mean": self.mean,
            "ratio": self.ratio,
            "within_0": self.share_within(0),
            "within_1": self.share_within(1),
        }


@dataclass
class ParityReport:
    """Differences between a program and an engine.

    Attributes:
        engine: its name.
        tolerance: what was allowed.
        batches: how many inputs were compared.
        tensors: quantized tensors, in the order in which they are computed; differences in steps, each from equal
            tensors before it.
        accumulated: the same from equal inputs of the whole.
        outputs: outputs, differences in their own unit.
        landmarks: tensors in float on the way, as outputs; each from equal tensors before it.
    """

    engine: str
    tolerance: Tolerance
    batches: int
    tensors: list[Difference]
    accumulated: list[Difference]
    outputs: list[Difference]
    landmarks: list[Difference] = field(default_factory=list)

    @property
    def first_failure(self) -> str | None:
        """What the first tensor beyond the tolerance is, and how far; None: all is well."""
        allowed = self.tolerance
        for tensor in self.tensors:
            share = tensor.share_within(allowed.steps)
            if not tensor.count or tensor.chosen:
                continue
            if share < allowed.share:
                return (
                    f"{tensor.name}: {share:.4%} of the values are within {allowed.steps:g} steps, {allowed.share:.4%} "
                    f"must be; the largest difference is {tensor.largest:.4g} steps"
                )
            if not tensor.mean <= allowed.mean:
                return f"{tensor.name}: the mean difference is {tensor.mean:.4g} steps, {allowed.mean:g} is allowed"
        named = [*((mark.name, mark) for mark in self.landmarks), *((f"output {o.name}", o) for o in self.outputs)]
        for name, output in named:
            if not output.chosen and not output.ratio <= allowed.output:
                return (
                    f"{name}: it differs by {output.ratio:.4g} of its size, {allowed.output:g} is "
                    f"allowed; the largest difference is {output.largest:.4g}"
                )
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "engine": self.engine,
            "batches": self.batches,
            "passed": self.first_failure is None,
            "first_failure": self.first_failure,
            "tensors": [tensor.to_dict() for tensor in self.tensors],
            "accumulated": [tensor.to_dict() for tensor in self.accumulated],
            "outputs": [output.to_dict() for output in (*self.landmarks, *self.outputs)],
        }


class ParityError(RuntimeError):
    """An engine computes something else than the program.

    Attributes:
        report: all differences.
    """

    def __init__(self, report: ParityReport) -> None:
        super().__init__(f"{report.engine} leaves the tolerance at {report.first_failure}")
        self.report = report
