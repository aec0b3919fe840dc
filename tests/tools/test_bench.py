"""``tools/bench``: its rows, the comparison with a reference, and cheap rows from end to end."""

import fnmatch
import json
import os
import subprocess
import sys

import pytest
import torch

from tests.facts import fact
from tools.bench import __main__ as bench
from tools.bench import loader, models, operators
from tools.bench.timing import CASES, Case, Cases, measure

from .conftest import REPO

bench.load_cases()

QUICK = ("mapper_*", "polygon_*", "paste_masks*", "*batched_nms_*class_2000", "pairwise_iou*", "*deform_conv*")
"""Rows whose set-up and call take less than a second."""

# rows of the reference for operators and models that are not part of this package yet
LATER = ("*rotated*", "deform_conv_v2*", "deform_conv_v1_fwd_bwd")


def test_names_are_those_of_the_reference():
    reference = fact("speed")
    for name in CASES.rows:
        own = name.startswith("torchvision_") or name.startswith("retinanet_R50_FPN_train")
        assert (bench.reference_seconds(reference, name) is None) == own, name
    for name, row in reference.items():
        if isinstance(row, dict) and "cpu_min_s" in row and not any(fnmatch.fnmatch(name, p) for p in LATER):
            assert name in CASES.rows or name.removeprefix("import: ") in bench.IMPORTS, name


def test_peers_are_rows():
    for name, case in CASES.rows.items():
        assert case.peer in ("", *CASES.rows), name
        assert case.peer != name


@pytest.mark.parametrize("name", [n for n in CASES.rows if any(fnmatch.fnmatch(n, p) for p in QUICK)])
def test_quick_rows_run(name):
    measured = measure(Case(CASES.rows[name].setup, repeat=1))
    assert set(measured) == {"cpu_min_s", "cpu_median_s", "median_s", "n"}
    assert measured["cpu_min_s"] > 0


@pytest.mark.parametrize("name", [n for n in CASES.rows if "roi_align" in n])
def test_roi_align_rows_run_on_few_boxes(monkeypatch, name):
    def few() -> tuple[torch.Tensor, torch.Tensor]:
        boxes = operators.random_boxes(5, 80, 120, sides=(10, 60))
        return torch.randn(1, 4, 20, 30), torch.cat([torch.zeros(5, 1), boxes], dim=1)

    monkeypatch.setattr(operators, "_roi_inputs", few)
    result = CASES.rows[name].setup()()
    (result,) = result if isinstance(result, tuple) else (result,)
    assert result.shape == ((1, 4, 20, 30) if name.endswith("bwd") else (5, 4, 7, 7))


def test_peers_compute_the_same(monkeypatch):
    name = f"{operators.ROI}_fwd"
    few = (torch.randn(1, 4, 50, 76), torch.cat([torch.zeros(5, 1), operators.random_boxes(5, 200, 304)], dim=1))
    monkeypatch.setattr(operators, "_roi_inputs", lambda: few)
    torch.testing.assert_close(CASES.rows[name].setup()(), CASES.rows[f"torchvision_{name}"].setup()())
    for count_and_classes in ("1class_2000", "80class_2000"):
        name = f"batched_nms_{count_and_classes}"
        assert torch.equal(CASES.rows[name].setup()(), CASES.rows[f"torchvision_{name}"].setup()())


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_rows_run(monkeypatch, workers):
    name = f"loader_workers{workers}_480x640_{loader.BATCHES * loader.BATCH}_images"
    assert name in CASES.rows
    monkeypatch.setattr(loader, "BATCHES", 2)
    batches = CASES.rows[name].setup()()
    assert [len(batch) for batch in batches] == [loader.BATCH] * 2
    assert batches[0][0]["image"].shape == (3, 480, 640)


def test_evaluators_agree(monkeypatch):
    from tools.bench import evaluation

    monkeypatch.setattr(evaluation, "IMAGES", 20)
    monkeypatch.setattr(evaluation, "CLASSES", 3)
    evaluation._data.cache_clear()
    ours, theirs = (CASES.rows[f"cocoeval_{n}_5000x100"].setup()() for n in ("opt", "pycocotools"))
    evaluation._data.cache_clear()
    assert ours == pytest.approx(theirs, abs=1e-12)
    assert 0.05 < ours[0] < 0.95


@pytest.mark.parametrize("name", [n for n in CASES.rows if "train_step" in n])
def test_training_rows_run_on_small_images(monkeypatch, name):
    monkeypatch.setattr(models, "TRAIN_SIZE", (128, 160))
    step = CASES.rows[name].setup()
    assert step() is None


def test_error_becomes_the_row(monkeypatch, capsys):
    monkeypatch.setattr(bench, "run_case", lambda name: {"error": "RuntimeError: no such thing"})
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "mapper*"])
    bench.main()
    assert "RuntimeError: no such thing" in capsys.readouterr().out


def test_pattern_without_rows(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "nothing*"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "mapper_one_image_480x640" in capsys.readouterr().err


def test_reference_forms():
    reference = {
        "a": {"cpu_min_s": 2.0, "cpu_total_s": 3.0},
        "b": {"cpu_total_s": 3.0},
        "c": 4.0,
        "note": "text",
        "loader_x_images_per_s": {"median": 5.0, "max": 10.0},
    }
    seconds = {name: bench.reference_seconds(reference, name) for name in ("a", "b", "c", "note", "d")}
    assert seconds == {"a": 2.0, "b": 3.0, "c": 4.0, "note": None, "d": None}
    assert bench.reference_seconds(reference, "loader_x_64_images") == pytest.approx(6.4)


def test_measure_counts_calls_after_one_warm_up():
    calls = []
    cases = Cases()
    cases.add("row", repeat=4, peer="other")(lambda: lambda: calls.append(1))
    assert cases.rows["row"].peer == "other"
    assert measure(cases.rows["row"])["n"] == 4
    assert len(calls) == 5


def test_as_a_command(tmp_path):
    reference = tmp_path / "reference.json"
    reference.write_text(json.dumps({"polygon_crop_and_resize_200_to_28": {"cpu_min_s": 1000.0}}))
    command = [sys.executable, "-m", "tools.bench", "--only", "polygon*", "--against", str(reference)]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out.json")],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    name, seconds, against, ratio = done.stdout.splitlines()[1].split()
    assert (name, float(against), float(ratio)) == ("polygon_crop_and_resize_200_to_28", 1000.0, 0.0)
    assert json.loads((tmp_path / "out.json").read_text())[name]["cpu_min_s"] == float(seconds)
