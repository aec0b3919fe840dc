"""AP and scores of a run, for its report."""

from collections.abc import Mapping
from typing import Any

from ..quantization.report import ApRow, ApTable, ClassAp, Confidence, ConfidenceRow, Curve
from .report_parts import made

_CLASS = "AP-"
_AGREEMENT = "AP on float detections"
_LOST, _FROM, _TO = "AP lost", "lost, from", "lost, to"


def ap_tables(result: Mapping[str, Any]) -> tuple[ApTable, ...]:
    """A table for each task: the float model, the quantized one, and the exported file in each engine.

    The last columns of boxes are the AP with the float model's own detections as ground truth, and the AP that is lost
    with the ends of its interval.
    """
    evaluation = result.get("evaluation", {})
    variants = {name: evaluation[name] for name in ("float", "quantized") if name in evaluation}
    compared = {"quantized": _compared(evaluation)}
    for engine in result.get("export", {}).get("engines", ()):
        if "evaluation" in engine:
            evaluation = evaluation or engine["evaluation"]
            variants[engine["engine"]] = engine["evaluation"]["quantized"]
            compared[engine["engine"]] = _compared(engine["evaluation"])
    tables = []
    for task in dict.fromkeys(task for tasks in variants.values() for task in tasks):
        rows = [ApRow(name, _metrics(tasks.get(task, {}))) for name, tasks in variants.items()]
        if task == "bbox":
            known = [key for key in _compared({}) if any(found[key] is not None for found in compared.values())]
            rows = [
                ApRow(row.name, {**row.metrics, **{key: compared.get(row.name, {}).get(key) for key in known}})
                for row in rows
            ]
        tables.append(ApTable(tuple(rows), task, evaluation["dataset"], evaluation["images"]))
    return tuple(tables)


def _compared(evaluation: Mapping[str, Any]) -> dict[str, float | None]:
    interval = evaluation.get("drop_interval") or {}
    return {
        _AGREEMENT: evaluation.get("agreement"),
        _LOST: evaluation.get("drop"),
        _FROM: interval.get("low"),
        _TO: interval.get("high"),
    }


def _metrics(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: value for name, value in values.items() if not name.startswith(_CLASS)}


def class_aps(result: Mapping[str, Any]) -> tuple[ClassAp, ...]:
    """AP of boxes of each class; none where not both models were evaluated."""
    evaluation = result.get("evaluation", {})
    if not {"float", "quantized"} <= set(evaluation):
        return ()
    before, after = (evaluation[name].get("bbox", {}) for name in ("float", "quantized"))
    return tuple(
        ClassAp(name.removeprefix(_CLASS), value, after.get(name))
        for name, value in before.items()
        if name.startswith(_CLASS)
    )


def confidence(result: Mapping[str, Any]) -> Confidence | None:
    """What becomes of score thresholds."""
    found = result.get("confidence")
    if found is None:
        return None
    rows = tuple(made(ConfidenceRow, row) for row in found["rows"])
    return Confidence(rows, tuple(made(Curve, curve) for curve in found["curves"]), found["iou"])
