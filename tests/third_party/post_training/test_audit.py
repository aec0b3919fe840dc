"""The audit of a calibration set: what is asked, in which order, and what is warned of."""

import json

import pytest

from third_party.post_training import audit
from third_party.post_training.corruptions import CORRUPTIONS, CorruptedBatches
from third_party.post_training.data import DetectionBatches, find_dataset, read_records
from third_party.post_training.evaluation import Evaluation, evaluate_predictions
from third_party.post_training.judge import Judge
from third_party.quantization.ptq.recipe import PTQRecipe


@pytest.fixture
def judge(trained):
    return Judge(trained.cfg, find_dataset(trained.cfg, ["ptq_shapes_val"], "--eval"))


def _perfect(judge):
    """Predictions that are the ground truth."""
    return [
        {
            "image_id": record["image_id"],
            "instances": [
                {"image_id": record["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.9}
                for a in record["annotations"]
            ],
        }
        for record in judge.records
    ]


def test_classes_and_sizes(trained, judge):
    warnings = []
    rows = audit.balance_audit(judge.records[:1], judge, warnings)
    assert [row["what"] for row in rows] == ["classes", "sizes"]
    assert sum(rows[0]["calibration"].values()) == len(judge.records[0]["annotations"])
    missing = {name for name, count in rows[0]["reference"].items() if count and not rows[0]["calibration"][name]}
    assert set(rows[0]["missing"]) == missing and (not missing or any("lacks classes" in w for w in warnings))


def test_the_slice_in_which_objects_are_lost_is_the_worst(judge, monkeypatch):
    images = [record["image_id"] for record in judge.records]
    members = {"light=day": images[:2], "light=night": images[2:]}
    monkeypatch.setattr(audit, "slices_of", lambda *_: members)
    perfect = _perfect(judge)
    spoilt = [p | {"instances": [] if p["image_id"] in images[2:] else p["instances"]} for p in perfect]
    before, after = (evaluate_predictions(judge.dataset, p, images) for p in (perfect, spoilt))
    assert before.ap == pytest.approx(100.0)
    made = audit.slice_audit(judge, before, after, warnings := [])
    rows = {row["name"]: row for row in made["rows"]}
    assert rows["light=day"]["drop"] == pytest.approx(0.0) and rows["light=day"]["images"] == 2
    assert rows["light=night"]["before"] == pytest.approx(100.0)
    assert rows["light=night"]["after"] == 0.0
    assert {row["name"] for row in made["classes"]} <= {f"class={n}" for n in ("circle", "square", "triangle", "star")}
    assert json.loads(json.dumps(made))["overall_drop"] == pytest.approx(before.ap - after.ap)
    assert warnings == []  # one image says little


def test_curve_domain_and_corruptions(trained, judge, monkeypatch):
    name = find_dataset(trained.cfg, ["ptq_shapes_train"], "--calib")
    calibration = DetectionBatches(trained.cfg, name, read_records(name))
    seen = []

    def calibrated(model, recipe, batches):
        seen.append((len(batches.records), getattr(batches, "corruption", None)))
        return len(batches.records), getattr(batches, "corruption", None)

    def rated(model, batches=None):
        images, corruption = model if isinstance(model, tuple) else (99, None)
        ap = 40.0 - (0 if images >= 4 else 5) - (3 if corruption else 0)
        if isinstance(batches, CorruptedBatches):
            ap -= 10.0 if isinstance(model, tuple) and batches.corruption == "noise" else 1.0
        return Evaluation("bbox", {"bbox": {"AP": ap}})

    monkeypatch.setattr(audit, "_calibrated", calibrated)
    monkeypatch.setattr(audit, "evaluate", rated)
    monkeypatch.setattr(judge, "rate", rated)
    judge.before = rated("float")
    made = audit.curve_audit("float", PTQRecipe(), calibration, judge, warnings := [], seeds=(0, 1))
    assert [(p["images"], p["mean"]) for p in made["points"]] == [(1, 35.0), (4, 40.0), (6, 40.0)]
    assert made["enough"] == 4 and warnings == []
    assert [images for images, _ in seen] == [1, 1, 4, 4, 6]  # drawing all of them again gives nothing new
    rows = audit.domain_audit("float", PTQRecipe(), calibration, judge, rated((6, None)))
    assert [(row["calibration"], row["ap"]) for row in rows] == [("as it is", 40.0), *((c, 37.0) for c in CORRUPTIONS)]
    rows = audit.corruption_audit("float", (6, None), judge, warnings)
    assert {row["name"]: row["drop"] for row in rows}["corruption=noise"] == 9.0
    assert warnings == ["corruption=noise (3 images) loses 9.0 AP, the whole set 0.0"]
