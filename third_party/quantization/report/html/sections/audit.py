"""Whether the calibration set was right."""

from collections.abc import Callable, Mapping, Sequence

from ...model import Audit, Balance, Curve, Number, Report, SliceRow
from ..charts import Bars, bar_chart, curve_chart
from ..elements import Html, markup, tag
from ..numbers import fixed, known, percent
from ..table import Column, drop_column, folded, table
from .frame import note

_MOST_KINDS = 20


def section(report: Report) -> Html | None:
    """The curve, the balance, parts of the data, corruptions, other domains."""
    found = report.audit
    if found is None:
        return None
    parts = [
        *_curve(found),
        *(part for one in found.balance for part in _balance(one)),
        _slices("Parts of the data", found.slices, 1.0),
        _slices("Corrupted images", found.corruptions, 1.0),
        _domains(found),
    ]
    return markup(parts) if any(parts) else None


def _curve(found: Audit) -> list[Html | None]:
    if not found.curve:
        return []
    points = [(float(p.images), value) for p in found.curve for value in p.values if value is not None and known(value)]
    mean = Curve("mean", tuple(float(p.images) for p in found.curve), tuple(_mean(p.values) for p in found.curve))
    columns = [
        Column("Images", lambda point: point.images, lambda value: fixed(value, 0)),
        Column("Mean AP", lambda point: _mean(point.values), lambda value: fixed(value, 2)),
        Column("Draws", lambda point: ", ".join(fixed(value, 2) for value in point.values)),
    ]
    drawn = curve_chart(
        "AP against the number of calibration images", [mean], across="images", upward="AP", points=points, log=True
    )
    enough = "" if found.enough is None else f"From {found.enough} images on, AP stays; each dot is a draw of images."
    return [
        drawn,
        note(enough),
        folded("The curve as a table", table("AP by number of calibration images", columns, found.curve)),
    ]


def _mean(values: Sequence[Number]) -> Number:
    sure = [value for value in values if value is not None and known(value)]
    return sum(sure) / len(sure) if sure else None


def _balance(found: Balance) -> list[Html | None]:
    kinds = list({**found.reference, **found.calibration})
    shares = [_shares(found.calibration), _shares(found.reference)]
    rows = [Bars(kind, (shares[0](kind), shares[1](kind))) for kind in kinds]
    rows.sort(key=lambda row: -abs((row.values[0] or 0.0) - (row.values[1] or 0.0)))
    told = f"Distance of the shares {fixed(found.distance, 3)}; chance alone stays below {fixed(found.chance, 3)}."
    if found.missing:
        told += f" Missing: {', '.join(found.missing)}."
    if len(rows) > _MOST_KINDS:
        told += f" Shown are the {_MOST_KINDS} of {len(rows)} that differ most."
    title = f"Shares of {found.what}"
    return [bar_chart(title, rows[:_MOST_KINDS], ("Calibration set", "Set it is judged on"), percent), note(told)]


def _shares(counts: Mapping[str, int]) -> Callable[[str], Number]:
    total = sum(counts.values())
    return lambda kind: counts.get(kind, 0) / total if total else None


def _slices(title: str, rows: Sequence[SliceRow], limit: float) -> Html | None:
    if not rows:
        return None
    columns = [
        Column("Part", lambda row: row.name),
        Column("Images", lambda row: row.images, lambda value: fixed(value, 0)),
        Column("AP float", lambda row: row.before, lambda value: fixed(value, 2)),
        Column("AP quantized", lambda row: row.after, lambda value: fixed(value, 2)),
        drop_column(limit, "Change"),
    ]
    return markup(tag("h3", title), table(f"{title}, float against quantized", columns, rows))


def _domains(found: Audit) -> Html | None:
    if not found.domains:
        return None
    columns = [
        Column("Calibrated on images", lambda row: row.calibration),
        Column("AP", lambda row: row.ap, lambda value: fixed(value, 2)),
    ]
    return markup(
        tag("h3", "Calibration on other images"), table("AP after calibration on other images", columns, found.domains)
    )
