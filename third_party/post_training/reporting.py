"""What a run found, as a report to read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..quantization import report as parts
from ..quantization.report import Report, write_html, write_json
from .report_accuracy import ap_tables, class_aps, confidence
from .report_audit import audit
from .report_parts import made

Result = Mapping[str, Any]


def write_reports(result: Result, folder: Path) -> None:
    """Write ``report.json`` with the whole result, and ``report.html`` with what a reader wants of it.

    Args:
        result: of :func:`~.workflow.quantize_detector`, in memory or read from its ``report.json``.
        folder: to write to; pictures that the result names are in it.

    Raises:
        OSError: a file cannot be written, or a picture cannot be read.
    """
    write_json(result, folder / "report.json")
    write_html(report_from_result(result, folder), folder / "report.html")


def report_from_result(result: Result, folder: Path | None = None) -> Report:
    """The sections for which a result has something.

    Args:
        result: see :func:`write_reports`.
        folder: where its pictures are; None leaves them out.
    """
    model, ptq, layers = (result.get(key, {}) for key in ("model", "ptq", "layers"))
    layers = layers or ptq.get("layers", {})
    ranges = ptq.get("ranges", ())
    return Report(
        title=f"{model.get('architecture', 'Detector')}, quantized",
        facts=_facts(result),
        warnings=tuple(result.get("warnings", ())),
        accuracy=ap_tables(result),
        classes=class_aps(result),
        confidence=confidence(result),
        sizes=_sizes(result, layers),
        latencies=tuple(made(parts.Latency, row) for row in result.get("latencies", ())),
        sqnr=tuple(parts.LayerSqnr(row["name"], row.get("sqnr")) for row in ranges),
        ranges=tuple(_range(row) for row in ranges),
        histograms=tuple(made(parts.Histogram, row) for row in ptq.get("histograms", ())),
        sensitivity=_sensitivity(result.get("sensitivity")),
        search=_search(result.get("search")),
        audit=audit(result.get("audit")),
        parity=tuple(_parity(one) for one in result.get("export", {}).get("engines", ()) if "parity" in one),
        findings=_findings(result.get("export", {}).get("findings", {})),
        layers=tuple(made(parts.LayerRow, row) for row in layers.get("rows", ())),
        pictures=() if folder is None else tuple(_picture(row, folder) for row in result.get("pictures", ())),
    )


def _facts(result: Result) -> dict[str, str]:
    model, ptq = result.get("model", {}), result.get("ptq", {})
    found = {"Weights": model.get("weights"), "Quantized in training": model.get("trained_quantized")}
    if "parameters" in model:
        found["Parameters"] = f"{model['parameters']:,}"
    if recipe := ptq.get("recipe"):
        weights, activations = recipe["WEIGHTS"], recipe["ACTIVATIONS"]
        inputs = f"activations {activations['BITS']} bits by {activations['OBSERVER']}"
        inputs = inputs if activations["ENABLED"] else "activations in float"
        found["Recipe"] = f"weights {weights['BITS']} bits per {weights['GRANULARITY']}, {inputs}"
    for name, key in (("Calibrated on", "calibration"), ("Evaluated on", "evaluation")):
        if key in result:
            found[name] = f"{result[key]['dataset']}, {result[key]['images']} images"
    if "seconds" in ptq:
        found["Time to quantize"] = f"{ptq['seconds']:.1f} s"
    found["PyTorch"] = model.get("torch")
    return {name: str(value) for name, value in found.items() if value}


def _sizes(result: Result, layers: Result) -> parts.Sizes | None:
    files = tuple(
        parts.FileSize(file["file"], file["bytes"], file["target"])
        for file in result.get("export", {}).get("files", ())
    )
    totals = layers.get("totals", {})
    if not files and not totals:
        return None
    return parts.Sizes(files, totals.get("bytes_float"), totals.get("bytes_quantized"))


def _range(row: Mapping[str, Any]) -> parts.RangeRow:
    return made(parts.RangeRow, row, clipped=row.get("share_clipped"))


def _sensitivity(found: Mapping[str, Any] | None) -> parts.Sensitivity | None:
    if found is None:
        return None
    return made(parts.Sensitivity, found, rows=tuple(made(parts.SensitivityRow, row) for row in found["rows"]))


def _search(found: Mapping[str, Any] | None) -> parts.Search | None:
    if found is None:
        return None
    return made(parts.Search, found, candidates=tuple(made(parts.Candidate, row) for row in found["candidates"]))


def _parity(engine: Mapping[str, Any]) -> parts.Parity:
    found = engine["parity"]
    tensors, outputs = (
        tuple(
            made(parts.ParityTensor, row, equal=row.get("within_0"), within=row.get("within_1")) for row in found[key]
        )
        for key in ("tensors", "outputs")
    )
    return parts.Parity(engine["engine"], found["passed"], found["first_failure"], tensors, outputs)


def _findings(by_target: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[parts.Finding, ...]:
    """The same finding for several targets is one, with their names; for all of them, with none."""
    targets: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for target, findings in by_target.items():
        for finding in findings:
            own = targets.setdefault(tuple(sorted(finding.items())), [])
            own += [] if target in own else [target]
    return tuple(
        parts.Finding(**dict(key), targets=() if len(own) == len(by_target) else tuple(own))
        for key, own in targets.items()
    )


def _picture(row: Mapping[str, str], folder: Path) -> parts.PicturePair:
    before, after = ((folder / row[key]).read_bytes() for key in ("before", "after"))
    return parts.PicturePair(row["caption"], before, after)
