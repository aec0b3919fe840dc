"""COCOeval_opt against pycocotools: the same arrays on data with ties, crowds and empty images."""

import logging
import sys

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detectron2.evaluation.fast_eval_api import COCOeval_opt
from detectron2.evaluation.hotcoco_bridge import DetectionList
from detectron2.utils import logger as d2_logger
from tests.evaluation.random_coco import SIZE, assert_same, random_coco, rle_of_box, run
from tests.facts import golden, golden_json

pytest.importorskip("hotcoco", minversion="1.3")
LOADERS = {"list": DetectionList, "coco": COCO.loadRes}


@pytest.fixture(autouse=True)
def _fresh_log_counts(monkeypatch):
    monkeypatch.setattr(d2_logger, "_LOG_COUNTS", d2_logger.Counter())


def _compare(gt, results, iou_type, change=None, fast=True):
    reference = run(COCOeval, gt, results, iou_type, change)
    for load in LOADERS.values():
        ours = run(COCOeval_opt, gt, results, iou_type, change, load)
        assert_same(ours, reference)
        assert (ours._fast is not None) == fast


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_random_data(iou_type):
    for seed in range(60):
        _compare(*random_coco(seed, masks=iou_type == "segm"), iou_type)


def _set(**values):
    """A change of params; a function computes the new value from the old."""

    def change(params):
        for name, value in values.items():
            setattr(params, name, value(getattr(params, name)) if callable(value) else value)

    return change


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_set(maxDets=[1, 2, 3]), id="few detections"),
        pytest.param(_set(maxDets=[100, 1, 10]), id="unsorted limits"),
        pytest.param(_set(maxDets=[1, 10, 100, 1000]), id="four limits"),
        pytest.param(_set(iouThrs=np.array([0.0, 0.5, 0.75, 1.0])), id="thresholds"),
        pytest.param(_set(recThrs=np.linspace(0, 1, 11)), id="recall thresholds"),
        pytest.param(_set(areaRng=[[0, 1e10], [0, 200], [200, 900], [900, 1e10]]), id="areas"),
        pytest.param(_set(areaRng=[[0, 1e10], [0, 200]], areaRngLbl=["all", "tiny"]), id="two areas"),
        pytest.param(_set(catIds=lambda ids: ids[:2]), id="some classes"),
        pytest.param(_set(catIds=lambda ids: [*ids[::-1], ids[0], 999]), id="repeated and unknown classes"),
        pytest.param(_set(catIds=[]), id="no classes"),
        pytest.param(_set(imgIds=lambda ids: ids[1:3]), id="some images"),
        pytest.param(_set(imgIds=lambda ids: [*ids[::-1], ids[0], 99999]), id="repeated and unknown images"),
        pytest.param(_set(useCats=0), id="no categories"),
        pytest.param(_set(useCats=0, catIds=lambda ids: ids[:2], imgIds=lambda ids: ids[:2]), id="no categories, some"),
    ],
)
def test_changed_params(iou_type, change):
    for seed in range(6):
        gt, results = random_coco(seed, masks=iou_type == "segm")
        no_class = run(COCOeval, gt, results, iou_type, change).eval["counts"][2] == 0
        _compare(gt, results, iou_type, change, fast=not no_class)


def _each(records, name, value):
    for record in records:
        record[name] = value(record) if callable(value) else value


def _renumber(gt, results, collection, field, new_id):
    ids = {record["id"]: new_id(i, record["id"]) for i, record in enumerate(gt[collection])}
    _each(gt[collection], "id", lambda r: ids[r["id"]])
    _each([*gt["annotations"], *results], field, lambda r: ids[r[field]])


def _empty_mask(gt, results):
    empty = rle_of_box([0, 0, -1, -1], np.random.RandomState(0))
    _each(results[:2], "segmentation", empty)


DATA_CHANGES = {
    "negative scores": lambda gt, dt: _each(dt, "score", lambda r: -r["score"]),
    "integer scores": lambda gt, dt: _each(dt, "score", lambda r: int(r["score"] > 0.4)),
    "numpy numbers": lambda gt, dt: (
        _each(dt, "score", lambda r: np.float32(r["score"])),
        _each(dt, "image_id", lambda r: np.int64(r["image_id"])),
    ),
    "ignore flags": lambda gt, dt: _each(gt["annotations"], "ignore", 1),
    "all crowds": lambda gt, dt: _each(gt["annotations"], "iscrowd", 1),
    "areas on the borders": lambda gt, dt: _each(gt["annotations"], "area", lambda r: 1023 + r["id"] % 3),
    "unknown class predicted": lambda gt, dt: _each(dt[:3], "category_id", 777),
    "class missing in categories": lambda gt, dt: _each(gt["annotations"][:3], "category_id", 777),
    "class id 0": lambda gt, dt: _renumber(gt, dt, "categories", "category_id", lambda i, old: i),
    "huge image ids": lambda gt, dt: _renumber(gt, dt, "images", "image_id", lambda i, old: 2**53 + 1 + i),
    "reversed lists": lambda gt, dt: (gt["images"].reverse(), gt["categories"].reverse()),
    "bare minimum": lambda gt, dt: (gt.pop("info"), _each(gt["images"], "file_name", "a.jpg")),
    "no ground truth": lambda gt, dt: gt["annotations"].clear(),
}
BOX_CHANGES = {
    "boxes without width": lambda gt, dt: _each(dt, "bbox", lambda r: [*r["bbox"][:2], 0.0, r["bbox"][3]]),
    "inverted boxes": lambda gt, dt: _each(dt[:3], "bbox", lambda r: [*r["bbox"][:2], -3.0, r["bbox"][3]]),
    "NaN boxes": lambda gt, dt: _each(dt[:2], "bbox", lambda r: [float("nan"), *r["bbox"][1:]]),
}
MASK_CHANGES = {
    "empty masks": _empty_mask,
    "counts as bytes": lambda gt, dt: _each(
        dt, "segmentation", lambda r: {**r["segmentation"], "counts": r["segmentation"]["counts"].encode()}
    ),
    "boxes besides masks": lambda gt, dt: _each(dt, "bbox", [1.0, 1.0, 40.0, 20.0]),
    "boxes besides some masks": lambda gt, dt: _each(dt[1:], "bbox", [1.0, 1.0, 40.0, 20.0]),
}


@pytest.mark.parametrize(
    ("iou_type", "change"),
    [
        *[pytest.param("bbox", f, id=f"bbox {n}") for n, f in {**DATA_CHANGES, **BOX_CHANGES}.items()],
        *[pytest.param("segm", f, id=f"segm {n}") for n, f in {**DATA_CHANGES, **MASK_CHANGES}.items()],
    ],
)
def test_odd_data(iou_type, change):
    for seed in range(6):
        gt, results = random_coco(seed, masks=iou_type == "segm")
        change(gt, results)
        _compare(gt, results, iou_type)


def test_boxes_of_masks():
    for seed in range(6):
        gt, results = random_coco(seed, masks=True)
        _compare(gt, results, "bbox")


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda gt, dt: _each(gt["annotations"], "id", lambda r: r["id"] - 1), "id 0"),
        (lambda gt, dt: _each(gt["annotations"], "id", lambda r: (r["id"] + 1) // 2), "share an id"),
        (lambda gt, dt: _each(dt[:2], "score", float("nan")), "NaN"),
        (lambda gt, dt: _renumber(gt, dt, "images", "image_id", lambda i, old: f"name{i}"), "hotcoco does not read"),
    ],
)
def test_falls_back_where_pycocotools_differs(iou_type, change, reason, caplog):
    gt, results = random_coco(2, masks=iou_type == "segm")
    change(gt, results)
    _compare(gt, results, iou_type, fast=False)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1 and reason in warnings[0], "the reason must be said, and once"


class _HalfIoU(COCOeval):
    def computeIoU(self, imgId, catId):
        return np.asarray(super().computeIoU(imgId, catId)) / 2


class _HalfIoUOpt(_HalfIoU, COCOeval_opt):
    pass


def test_falls_back_for_overriding_subclasses():
    gt, results = random_coco(0, masks=False)
    ours = run(_HalfIoUOpt, gt, results, "bbox")
    assert_same(ours, run(_HalfIoU, gt, results, "bbox"))
    assert not np.array_equal(ours.stats, run(COCOeval, gt, results, "bbox").stats)


@pytest.mark.parametrize("installed", ["none", "old"])
def test_falls_back_without_hotcoco(installed, monkeypatch, caplog):
    if installed == "none":
        monkeypatch.setitem(sys.modules, "hotcoco", None)
    else:
        monkeypatch.setattr("hotcoco.__version__", "0.9.1")
    _compare(*random_coco(0, masks=False), "bbox", fast=False)
    assert "cannot be imported" in caplog.text if installed == "none" else "0.9.1 is too old" in caplog.text


def test_accumulate_follows_params_changed_after_evaluate():
    gt, results = random_coco(3, masks=False)
    ours = run(COCOeval_opt, gt, results, "bbox")
    reference = run(COCOeval, gt, results, "bbox")
    for evaluation in (ours, reference):
        evaluation.params.maxDets = [1, 100]
        evaluation.params.catIds = evaluation.params.catIds[:2]
        evaluation.accumulate()
    for name in ("precision", "recall", "scores"):
        np.testing.assert_array_equal(ours.eval[name], reference.eval[name])


def test_accumulate_needs_evaluate():
    with pytest.raises(RuntimeError, match="evaluate"):
        COCOeval_opt().accumulate()


@pytest.mark.parametrize("iou_type", ["bbox", "segm", "keypoints"])
def test_golden(iou_type):
    arrays = golden("coco_eval")
    gt, results = golden_json("coco/gt"), golden_json("coco/dt")
    others = {"bbox": set(), "segm": {"bbox"}, "keypoints": {"bbox", "segmentation"}}[iou_type]
    results = [{k: v for k, v in r.items() if k not in others} for r in results]
    for load in LOADERS.values():
        ours = run(COCOeval_opt, gt, results, iou_type, load=load)
        assert ours._fast is not None
        np.testing.assert_allclose(ours.stats, arrays[f"{iou_type}_pycocotools_stats"], atol=1e-9)
        np.testing.assert_allclose(ours.eval["recall"], arrays[f"{iou_type}_pycocotools_recall"], atol=1e-9)
        # stored as float16
        precision = arrays[f"{iou_type}_pycocotools_precision_mean_K"].astype(float)
        np.testing.assert_allclose(ours.eval["precision"], precision, atol=1e-3)
        np.testing.assert_allclose(ours.eval["scores"], arrays[f"{iou_type}_pycocotools_scores"], atol=1e-3)
    assert_same(ours, run(COCOeval, gt, results, iou_type))


def test_detection_list_is_a_coco_object_when_asked():
    gt, results = random_coco(0, masks=False)
    coco = COCO()
    coco.dataset = gt
    coco.createIndex()
    listed = DetectionList(coco, results)
    before = [dict(r) for r in results]
    assert len(listed.anns) == len(results) and listed.getImgIds() == coco.getImgIds()
    assert results == before, "the caller's results must stay as they are"
    results[0]["image_id"] = -5
    with pytest.raises(ValueError, match="1 images that the ground truth does not have, e.g. -5"):
        DetectionList(coco, results)


def test_larger_images_with_many_detections():
    rng = np.random.RandomState(0)
    gt, _ = random_coco(1, masks=False)
    results = []
    for image in gt["images"]:
        for _ in range(300):
            corner, size = rng.uniform(0, SIZE / 2, 2), rng.uniform(1, SIZE / 2, 2)
            box = [float(v) for v in (*corner, *size)]
            category = gt["categories"][rng.randint(3)]["id"]
            results.append(
                {"image_id": image["id"], "category_id": category, "bbox": box, "score": round(rng.rand(), 2)}
            )
    _compare(gt, results, "bbox")
    _compare(gt, results, "bbox", _set(useCats=0))
