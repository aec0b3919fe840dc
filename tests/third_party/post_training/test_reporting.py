"""From results to reports."""

import json
import math

import pytest

from third_party.post_training.latencies import main
from third_party.post_training.reporting import report_from_result, write_reports
from third_party.quantization.ptq.audit import CurvePoint, SliceRow, balance
from third_party.quantization.ptq.choice import SensitivityRow, SensitivityTable

_FINDING = {"layer": "a", "rule": "r", "severity": "note", "message": "m", "remedy": "do"}
_BOXES = {"AP": 40.0, "AP50": 60.0, "AP-cat": 41.0, "AP-dog": None}


def _result():
    evaluation = {
        "dataset": "val",
        "images": 3,
        "quantized": {"bbox": _BOXES | {"AP": 39.5}},
        "float": {"bbox": _BOXES},
        "agreement": 92.5,
        "drop": 0.5,
        "drop_interval": {"low": -0.5, "high": 1.5, "confidence": 0.95, "samples": 9},
    }
    table = SensitivityTable(1.0, 1.5, (SensitivityRow("conv", "W8A8", 1.4, 0.4),), 2, 0.1)
    point = {
        "threshold": 0.5,
        "precision": 0.9,
        "recall": 0.8,
        "precision_kept": 0.8,
        "equal": 0.6,
        "recall_equal": 0.7,
    }
    tensor = {"name": "t", "step": 0.1, "largest": 1.0, "mean": 0.0, "ratio": 0.0, "within_0": 0.5, "within_1": 1.0}
    parity = {"engine": "e", "passed": True, "first_failure": None, "tensors": [tensor], "outputs": []}
    return {
        "model": {"architecture": "RetinaNet", "weights": "w.pth", "parameters": 1234, "trained_quantized": None},
        "warnings": ["careful"],
        "calibration": {"dataset": "train", "images": 6},
        "ptq": {
            "ranges": [
                {"name": "conv", "bottom": 0.0, "top": 1.0, "share_clipped": 0.01, "mse": 1.0, "sqnr": math.inf}
            ],
            "histograms": [{"name": "conv", "start": 0.0, "width": 0.5, "counts": [3, 4], "bottom": 0.0, "top": 1.0}],
            "seconds": 1.25,
        },
        "evaluation": evaluation,
        "confidence": {"iou": 0.5, "rows": [point], "curves": [{"name": "Float", "x": [0.0, 0.5], "y": [None, 1.0]}]},
        "sensitivity": table.to_dict(),
        "search": {"met": True, "verdict": "found", "candidates": [{"drop": 0.1, "cost": 5.0, "explanation": "x"}]},
        "audit": {
            "balance": [balance("classes", {"cat": 1}, {"cat": 2, "dog": 2}).to_dict()],
            "slices": {"rows": [SliceRow("size=small", 2, 30.0, math.nan).to_dict()]},
            "curve": {"points": [CurvePoint(4, (39.0, 40.0)).to_dict()], "enough": None},
            "out_of_domain": [{"calibration": "blur", "ap": 38.0}],
            "corruptions": [],
        },
        "layers": {
            "rows": [{"name": "conv", "type": "Conv2d", "num_parameters": 9, "bytes_float": 36, "bytes_quantized": 9}],
            "totals": {"bytes_float": 36, "bytes_quantized": 9},
        },
        "export": {
            "files": [{"file": "model.onnx", "target": "generic", "bytes": 99}],
            "findings": {"generic": [_FINDING], "e": [_FINDING, _FINDING | {"layer": "b"}]},
            "engines": [{"engine": "e", "parity": parity, "evaluation": evaluation}, {"engine": "f"}],
        },
    }


def test_every_part_of_a_result_has_its_section():
    report = report_from_result(_result())
    (table,) = report.accuracy
    assert [row.name for row in table.rows] == ["float", "quantized", "e"] and table.drop(table.rows[1]) == 0.5
    lost = {"AP lost": 0.5, "lost, from": -0.5, "lost, to": 1.5}
    assert dict(table.rows[1].metrics) == {"AP": 39.5, "AP50": 60.0, "AP on float detections": 92.5, **lost}
    assert [(row.name, row.before, row.after) for row in report.classes] == [("cat", 41.0, 41.0), ("dog", None, None)]
    assert report.confidence.rows[0].shift == pytest.approx(0.1)
    assert report.sizes.ratio == 0.25 and report.sizes.files[0].bytes == 99
    assert report.sqnr[0].decibels == math.inf and report.ranges[0].clipped == 0.01
    assert report.histograms[0].counts == (3, 4) and report.histograms[0].end == 1.0
    assert report.sensitivity.rows[0].change == 0.4 and "conv" in report.sensitivity.verdict
    assert report.search.candidates[0].cost == 5.0 and report.audit.balance[0].missing == ("dog",)
    assert report.audit.curve[0].values == (39.0, 40.0) and report.audit.slices[0].after is None
    assert [(one.layer, one.targets) for one in report.findings] == [("a", ()), ("b", ("e",))]
    assert [one.engine for one in report.parity] == ["e"] and report.parity[0].tensors[0].equal == 0.5
    assert report.facts["Parameters"] == "1,234" and report.facts["Evaluated on"] == "val, 3 images"
    assert report.warnings == ("careful",) and report.layers[0].type == "Conv2d"


def test_a_result_of_little():
    report = report_from_result({"model": {"architecture": "FCOS"}, "warnings": []})
    assert report.title == "FCOS, quantized" and report.accuracy == () and report.sizes is None and report.audit is None


def test_results_of_steps_alone():
    own = {"dataset": "val", "images": 3}
    engine = {"engine": "e", "evaluation": own | {"quantized": {"bbox": {"AP": 39.0}}}}
    (table,) = report_from_result({"export": {"engines": [engine]}}).accuracy
    assert [(row.name, dict(row.metrics)) for row in table.rows] == [("e", {"AP": 39.0})] and table.dataset == "val"
    report = report_from_result(
        {"evaluation": own | {"float": {"bbox": _BOXES}}, "ptq": {"layers": _result()["layers"]}}
    )
    assert report.classes == () and [row.name for row in report.accuracy[0].rows] == ["float"]
    assert report.sizes.ratio == 0.25 and report.layers[0].name == "conv"


def test_latencies_come_later(tmp_path, capsys):
    write_reports(_result(), tmp_path)
    first = json.loads((tmp_path / "report.json").read_text())
    assert first["ptq"]["ranges"][0]["sqnr"] is None and "Latency" not in (tmp_path / "report.html").read_text()
    row = {"engine": "onnxruntime", "precision": "int8", "scope": "model", "threads": 0, "median_ms": 12.345, "runs": 9}
    (tmp_path / "benchmark.json").write_text(json.dumps([row]))
    assert main([str(tmp_path), str(tmp_path / "benchmark.json")]) == 0
    assert json.loads((tmp_path / "report.json").read_text()) == {**first, "latencies": [row]}
    assert "12.3" in (page := (tmp_path / "report.html").read_text()) and "all threads" in page
    (tmp_path / "benchmark.json").write_text("[1]")
    assert main([str(tmp_path), str(tmp_path / "benchmark.json")]) == 1
    assert "no list of measurements" in capsys.readouterr().err and (tmp_path / "report.html").read_text() == page
