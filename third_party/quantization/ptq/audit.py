"""Whether a calibration set is good for what it is used for: the arithmetic; others bring the data."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_DRAWS = 500
_LARGE_DISTANCE = 0.1
_COMMON_SHARE = 0.01


@dataclass(frozen=True)
class Balance:
    """Shares of kinds (classes, sizes) in the calibration set and in the set that the model is judged on.

    Attributes:
        what: the kinds, "classes".
        calibration, reference: kind -> number.
        distance: total variation distance of the shares, half the sum of their absolute differences, 0..1.
        chance: distance that 95 percent of random sets of this size stay below.
        missing: kinds of at least 1 percent of the reference that the calibration set lacks.
    """

    what: str
    calibration: dict[str, int]
    reference: dict[str, int]
    distance: float
    chance: float
    missing: tuple[str, ...]

    @property
    def unbalanced(self) -> bool:
        """Whether the distance is large, and larger than chance makes it."""
        return self.distance > max(self.chance, _LARGE_DISTANCE)

    def warnings(self) -> list[str]:
        """What a user should know, in sentences."""
        found = []
        if self.unbalanced:
            shifts = sorted(self._shifts().items(), key=lambda pair: -abs(pair[1]))[:3]
            named = ", ".join(f"{kind} {shift:+.0%}" for kind, shift in shifts)
            found.append(
                f"The calibration set's {self.what} differ from those the model is judged on: distance "
                f"{self.distance:.2f}, by chance at most {self.chance:.2f}; most: {named}"
            )
        if self.missing:
            found.append(f"The calibration set lacks {self.what}: {', '.join(self.missing)}")
        return found

    def _shifts(self) -> dict[str, float]:
        shares = [_shares(counts) for counts in (self.calibration, self.reference)]
        return {kind: shares[0].get(kind, 0.0) - shares[1].get(kind, 0.0) for kind in {**shares[0], **shares[1]}}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"unbalanced": self.unbalanced}


def balance(what: str, calibration: Mapping[str, int], reference: Mapping[str, int], seed: int = 0) -> Balance:
    """Compare two sets by the numbers of their kinds.

    Args:
        what: name of the kinds.
        calibration, reference: kind -> number of objects.
        seed: of the random sets that tell chance.

    Raises:
        ValueError: one of them counts nothing.
    """
    for name, counts in (("calibration", calibration), ("reference", reference)):
        if sum(counts.values()) <= 0:
            raise ValueError(f"the {name} set has no {what} to count")
    kinds = list({**reference, **calibration})
    of_reference = np.array([reference.get(kind, 0) for kind in kinds], dtype=float)
    of_calibration = np.array([calibration.get(kind, 0) for kind in kinds], dtype=float)
    share, total = of_reference / of_reference.sum(), int(of_calibration.sum())
    draws = np.random.default_rng(seed).multinomial(total, share, size=_DRAWS) / total
    chance = float(np.quantile(np.abs(draws - share).sum(axis=1) / 2, 0.95))
    distance = float(np.abs(of_calibration / total - share).sum() / 2)
    missing = tuple(k for k, s, n in zip(kinds, share, of_calibration, strict=True) if s >= _COMMON_SHARE and n == 0)
    return Balance(what, dict(calibration), dict(reference), distance, chance, missing)


def _shares(counts: Mapping[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {kind: count / total for kind, count in counts.items()}


@dataclass(frozen=True)
class CurvePoint:
    """AP after calibration on so many images, for several draws of them.

    Attributes:
        images: how many.
        values: AP of each draw.
    """

    images: int
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the draws."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float:
        """Standard deviation over the draws (n - 1); NaN for one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        deviation = self.deviation
        return asdict(self) | {"mean": self.mean, "deviation": None if math.isnan(deviation) else deviation}


def calibration_curve(
    counts: Sequence[int], seeds: Sequence[int], measure: Callable[[int, int], float]
) -> list[CurvePoint]:
    """AP against the number of calibration images.

    Args:
        counts: numbers of images, each at least 1.
        seeds: a draw of images each.
        measure: of number and seed, the AP.
    """
    if not seeds or any(count < 1 for count in counts):
        raise ValueError(f"a curve needs seeds, and numbers of images from 1; got {list(seeds)}, {list(counts)}")
    return [CurvePoint(count, tuple(measure(count, seed) for seed in seeds)) for count in counts]


def enough_images(curve: Sequence[CurvePoint], tolerance: float = 0.2) -> int | None:
    """The least number of images from which on every draw is within ``tolerance`` AP of the largest number's mean.

    None: not even the draws of the largest number agree so far.
    """
    best = curve[-1].mean
    enough = None
    for point in reversed(curve):
        if any(abs(value - best) > tolerance for value in point.values):
            break
        enough = point.images
    return enough


@dataclass(frozen=True)
class SliceRow:
    """AP of a part of the data.

    Attributes:
        name: of the part, "weather=rain".
        images: how many it has.
        before, after: AP in float and quantized, in percent; NaN where there is nothing to find.
    """

    name: str
    images: int
    before: float
    after: float

    @property
    def drop(self) -> float:
        """What quantization costs there."""
        return self.before - self.after

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None for NaN."""
        values = asdict(self) | {"drop": self.drop}
        return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in values.items()}


def worst_slice(rows: Sequence[SliceRow], at_least: int = 1) -> SliceRow | None:
    """The part that loses most, among those with so many images and with something to find; None if there is none."""
    judged = [row for row in rows if row.images >= at_least and not math.isnan(row.drop)]
    return max(judged, key=lambda row: row.drop, default=None)


def slice_warnings(rows: Sequence[SliceRow], overall: float, tolerance: float, at_least: int = 10) -> list[str]:
    """Parts that lose far more than the whole.

    Args:
        rows: of parts.
        overall: drop of the whole, in AP.
        tolerance: AP beyond that, from which on a part is named.
        at_least: images of a part, below which AP says little.
    """
    named = [row for row in rows if row.images >= at_least and row.drop > overall + tolerance]
    return [
        f"{row.name} ({row.images} images) loses {row.drop:.1f} AP, the whole set {overall:.1f}"
        for row in sorted(named, key=lambda row: -row.drop)
    ]
