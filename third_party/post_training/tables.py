"""Results as tables to print."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from ..quantization.export import ParityReport
from .evaluation import Evaluation

_CLASS = "AP-"
_SHOWN = 8
_PARTS = {"name": "part", "images": "images", "before": "AP float", "after": "AP quantized", "drop": "AP lost"}

Rows = Sequence[Mapping[str, Any]]


def ap_table(evaluation: Evaluation) -> str:
    """A row for each task, and one for each class."""
    tasks = {
        task: {name: value for name, value in metrics.items() if not name.startswith(_CLASS)}
        for task, metrics in evaluation.to_dict().items()
    }
    rows = [{"task": task, **metrics} for task, metrics in tasks.items()]
    classes = [{"class": name, "AP": value} for name, value in evaluation.per_class().items()]
    return "\n\n".join([_table(rows), _table(classes)] if classes else [_table(rows)])


def audit_tables(found: Mapping[str, Any]) -> str:
    """What :func:`~.audit.audit_calibration` found; the warnings are left out."""
    return "\n\n".join(f"{title}\n{table}" for title, table in _audit_parts(found) if table)


def _audit_parts(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for balance in found["balance"]:
        kinds = {**balance["reference"], **balance["calibration"]}
        counts = [
            {balance["what"]: kind, **{side: balance[side].get(kind, 0) for side in ("calibration", "reference")}}
            for kind in kinds
        ]
        yield f"Objects, distance {balance['distance']:.3f}, by chance at most {balance['chance']:.3f}", _table(counts)
    points = found["curve"]["points"]
    yield (
        "AP after calibration on fewer images",
        _chosen(points, {"images": "images", "mean": "AP", "deviation": "deviation"}),
    )
    yield "Parts of the data", _chosen([*found["slices"]["rows"], *found["slices"]["classes"]], _PARTS)
    yield "AP on images made worse", _chosen(found["corruptions"], _PARTS)
    yield (
        "AP after calibration on other images",
        _chosen(found["out_of_domain"], {"calibration": "calibrated on", "ap": "AP"}),
    )


def parity_table(report: ParityReport) -> str:
    """The tensors that are furthest off, then all outputs."""
    judged = [tensor for tensor in report.tensors if tensor.count]
    worst = sorted(judged, key=lambda tensor: tensor.share_within(1))[:_SHOWN]
    tensors = [
        {
            "tensor": tensor.name,
            "equal": f"{tensor.share_within(0):.3%}",
            "within a step": f"{tensor.share_within(1):.3%}",
            "largest, steps": tensor.largest,
        }
        for tensor in worst
    ]
    outputs = [
        {"output": one.name, "of its size": one.ratio, "largest": one.largest, "judged": "no" if one.chosen else "yes"}
        for one in (*report.landmarks, *report.outputs)
    ]
    shown = f", {len(worst)} shown" if len(judged) > len(worst) else ""
    head = f"{report.engine}: {report.batches} batches, {len(judged)} quantized tensors{shown}"
    return "\n\n".join([head, *(_table(rows, ".3g") for rows in (tensors, outputs) if rows)])


def print_files_and_warnings(result: Mapping[str, Any]) -> None:
    """Print a line for each file that a result names, with its size, and for each of its warnings."""
    for file in result.get("export", {}).get("files", ()):
        print(f"{file['file']:23} {file['bytes'] / 2**20:.2f} MiB")
    for warning in result.get("warnings", ()):
        print(f"warning: {warning}")


def _chosen(rows: Rows, columns: Mapping[str, str]) -> str:
    return _table([{title: row.get(key) for key, title in columns.items()} for row in rows])


def _table(rows: Rows, number: str = ".2f") -> str:
    return str(tabulate(rows, headers="keys", floatfmt=number, missingval="none")) if rows else ""
