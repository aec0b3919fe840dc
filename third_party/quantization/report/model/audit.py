"""Whether a model was calibrated on the right images."""

from collections.abc import Mapping
from dataclasses import dataclass

from .accuracy import Number, difference


@dataclass(frozen=True)
class Balance:
    """Kinds of objects in the calibration set and in the set that the model is judged on.

    Attributes:
        what: the kinds, "classes".
        calibration, reference: kind -> number.
        distance: total variation distance of the shares.
        chance: distance that 95 percent of random sets of this size stay below.
        missing: kinds that the calibration set lacks.
    """

    what: str
    calibration: Mapping[str, int]
    reference: Mapping[str, int]
    distance: Number = None
    chance: Number = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class CurvePoint:
    """AP after calibration on some images.

    Attributes:
        images: how many.
        values: AP of each draw of them.
    """

    images: int
    values: tuple[Number, ...]


@dataclass(frozen=True)
class SliceRow:
    """AP of a part of the data.

    Attributes:
        name: of the part, "weather=rain".
        images: how many it has.
        before, after: AP in float and quantized, percent.
    """

    name: str
    images: int
    before: Number
    after: Number

    @property
    def drop(self) -> Number:
        """What quantization costs there."""
        return difference(self.before, self.after)


@dataclass(frozen=True)
class DomainRow:
    """AP after calibration on other images.

    Attributes:
        calibration: what they are.
        ap: percent.
    """

    calibration: str
    ap: Number


@dataclass(frozen=True)
class Audit:
    """All audits of a calibration set; each may be empty.

    Attributes:
        balance: kinds of objects.
        curve: AP against the number of images.
        enough: least number of images from which on AP stays.
        slices: parts of the data.
        corruptions: the same data, corrupted.
        domains: calibration on images of other domains.
    """

    balance: tuple[Balance, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    enough: int | None = None
    slices: tuple[SliceRow, ...] = ()
    corruptions: tuple[SliceRow, ...] = ()
    domains: tuple[DomainRow, ...] = ()
