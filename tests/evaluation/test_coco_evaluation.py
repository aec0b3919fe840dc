"""COCOEvaluator from Instances to metrics, its files, and what it says of bad input."""

import json
import logging
import math
import uuid

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_util

from detectron2.config import CfgNode
from detectron2.data.catalog import MetadataCatalog
from detectron2.evaluation import COCOEvaluator, result_files
from detectron2.evaluation.box_proposals import _evaluate_box_proposals
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.evaluation.coco_protocol import COCOevalMaxDets, _evaluate_predictions_on_coco, _FastMaxDets
from detectron2.structures import Boxes, Instances
from tests.evaluation.random_coco import COCOeval, random_coco, run
from tests.facts import golden_json


@pytest.fixture
def register(tmp_path):
    """Registers ground truth as a data set of its own, and forgets it after the test."""
    names = []

    def make(gt, **metadata):
        name = f"test_{uuid.uuid4().hex}"
        names.append(name)
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(gt))
        categories = [c["id"] for c in gt.get("categories", [])]
        MetadataCatalog.get(name).set(
            json_file=str(path),
            thing_classes=[c["name"] for c in gt.get("categories", [])],
            thing_dataset_id_to_contiguous_id={c: i for i, c in enumerate(categories)},
            **metadata,
        )
        return name

    yield make
    for name in names:
        MetadataCatalog.remove(name)


def _instances(results, categories, masks) -> Instances:
    """Detections of one image in COCO's format as the model would return them."""
    height, width = 150, 200
    instances = Instances((height, width))
    boxes = torch.tensor([r["bbox"] for r in results], dtype=torch.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    instances.pred_boxes = Boxes(torch.zeros(0, 4))
    instances.pred_boxes.tensor = boxes
    instances.scores = torch.tensor([r["score"] for r in results], dtype=torch.float64)
    instances.pred_classes = torch.tensor([categories.index(r["category_id"]) for r in results], dtype=torch.int64)
    if masks:
        decoded = [torch.as_tensor(mask_util.decode(r["segmentation"])).bool() for r in results]
        instances.pred_masks = torch.stack(decoded) if decoded else torch.zeros(0, height, width, dtype=torch.bool)
    return instances


def _process(evaluator, gt, results, masks=True):
    categories = [c["id"] for c in gt["categories"]]
    evaluator.reset()
    for image in gt["images"]:
        own = [r for r in results if r["image_id"] == image["id"]]
        evaluator.process([{"image_id": image["id"]}], [{"instances": _instances(own, categories, masks)}])


@pytest.mark.parametrize("fast", [True, False])
def test_golden(register, tmp_path, fast):
    gt, results = golden_json("coco/gt"), golden_json("coco/dt")
    expected = golden_json("coco/COCOEvaluator")[f"fast{int(fast)}"]
    output = tmp_path / "new" / "folder"
    evaluator = COCOEvaluator(register(gt), output_dir=str(output), use_fast_impl=fast)
    _process(evaluator, gt, results)
    actual = evaluator.evaluate()
    assert {task: list(metrics) for task, metrics in actual.items()} == {t: list(m) for t, m in expected.items()}
    for task in expected:
        for name, value in expected[task].items():
            assert actual[task][name] == pytest.approx(value, abs=1e-6, nan_ok=True), (task, name)
    written = json.loads((output / "coco_instances_results.json").read_text())
    assert len(written) == len(results)
    assert {r["category_id"] for r in written} == {r["category_id"] for r in results}
    assert set(written[0]) == {"image_id", "category_id", "bbox", "score", "segmentation"}
    saved = torch.load(output / "instances_predictions.pth", weights_only=True)
    assert [p["image_id"] for p in saved] == [image["id"] for image in gt["images"]]
    assert sorted(p.name for p in output.iterdir()) == ["coco_instances_results.json", "instances_predictions.pth"]


def test_img_ids_and_tasks(register):
    gt, results = golden_json("coco/gt"), golden_json("coco/dt")
    some = [image["id"] for image in gt["images"]][:20]
    evaluator = COCOEvaluator(register(gt), tasks=("bbox",))
    _process(evaluator, gt, results)
    actual = evaluator.evaluate(img_ids=some)
    assert list(actual) == ["bbox"]
    reference = run(COCOeval, gt, results, "bbox", lambda p: setattr(p, "imgIds", some))
    assert actual["bbox"]["AP"] == pytest.approx(reference.stats[0] * 100, abs=1e-6)
    again = evaluator.evaluate()
    assert again["bbox"]["AP"] != actual["bbox"]["AP"]
    assert evaluator.evaluate() == again, "evaluating must not change the predictions"


def test_tasks_follow_the_predictions(register):
    gt, results = golden_json("coco/gt"), golden_json("coco/dt")
    evaluator = COCOEvaluator(register(gt))
    _process(evaluator, gt, results, masks=False)
    assert list(evaluator.evaluate()) == ["bbox"]


@pytest.mark.parametrize("limit", [5, 300])
@pytest.mark.parametrize("fast", [True, False])
def test_max_dets_per_image(register, limit, fast):
    gt, results = golden_json("coco/gt"), golden_json("coco/dt")
    evaluator = COCOEvaluator(register(gt), tasks=("bbox",), max_dets_per_image=limit, use_fast_impl=fast)
    _process(evaluator, gt, results)
    limits = [1, min(10, limit), limit]
    reference = run(COCOeval, gt, results, "bbox", lambda p: setattr(p, "maxDets", limits))
    precision = reference.eval["precision"][..., 0, 2]
    actual = evaluator.evaluate()["bbox"]
    assert actual["AP"] == pytest.approx(precision[precision > -1].mean() * 100, abs=1e-6)
    assert actual["AP50"] == pytest.approx(reference.stats[1] * 100, abs=1e-6)


def test_max_dets_figures_equal_coco_at_100():
    gt, results = random_coco(1, masks=False)
    reference = run(COCOeval, gt, results, "bbox")
    for cls in (COCOevalMaxDets, _FastMaxDets):
        ours = run(cls, gt, results, "bbox")
        np.testing.assert_allclose(ours.stats, reference.stats, rtol=0, atol=1e-12)
        assert len(str(ours).splitlines()) == 12
    with pytest.raises(RuntimeError, match="accumulate"):
        COCOevalMaxDets().summarize()


def test_no_detections_give_nan(register, caplog):
    gt = golden_json("coco/gt")
    evaluator = COCOEvaluator(register(gt), tasks=("bbox", "segm"))
    _process(evaluator, gt, [])
    results = evaluator.evaluate()
    assert list(results) == ["bbox", "segm"]
    assert all(math.isnan(v) for metrics in results.values() for v in metrics.values())
    assert "no prediction" in caplog.text


def test_nothing_processed(register, caplog):
    evaluator = COCOEvaluator(register(golden_json("coco/gt")))
    evaluator.reset()
    assert evaluator.evaluate() == {}
    assert "received no predictions" in caplog.text


def test_ground_truth_without_annotations(register, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    gt, results = golden_json("coco/gt"), golden_json("coco/dt")
    test_set = {k: v for k, v in gt.items() if k != "annotations"}
    evaluator = COCOEvaluator(register(test_set), output_dir=str(tmp_path / "out"))
    _process(evaluator, gt, results)
    assert evaluator.evaluate() == {}
    assert (tmp_path / "out" / "coco_instances_results.json").is_file()
    assert "no annotations" in caplog.text

    evaluator = COCOEvaluator(register({**test_set, "annotations": []}))
    _process(evaluator, gt, results)
    assert all(math.isnan(v) for v in evaluator.evaluate()["bbox"].values())


def test_instances_to_coco_json():
    instances = Instances((4, 6))
    instances.pred_boxes = Boxes(torch.tensor([[1.0, 1.0, 3.0, 4.0]]))
    instances.scores = torch.tensor([0.5])
    instances.pred_classes = torch.tensor([2])
    mask = torch.zeros(1, 4, 6, dtype=torch.bool)
    mask[0, 1:, 1:3] = True
    instances.pred_masks = mask
    instances.pred_keypoints = torch.tensor([[[1.5, 2.5, 0.9]]])
    (record,) = instances_to_coco_json(instances, 7)
    segmentation = record.pop("segmentation")
    np.testing.assert_array_equal(mask_util.decode(segmentation), mask[0].numpy())
    assert json.loads(json.dumps(segmentation)) == segmentation
    keypoints = record.pop("keypoints")
    assert keypoints == pytest.approx([1.0, 2.0, 0.9])
    assert record == {"image_id": 7, "category_id": 2, "bbox": [1.0, 1.0, 2.0, 3.0], "score": 0.5}
    instances.pred_masks_rle = [segmentation]
    assert instances_to_coco_json(instances, 7)[0]["segmentation"] is segmentation
    assert instances_to_coco_json(instances[:0], 7) == []


def _proposals(boxes, logits) -> Instances:
    return Instances((100, 100), proposal_boxes=Boxes(torch.tensor(boxes)), objectness_logits=torch.tensor(logits))


PROPOSAL_GT = {
    "images": [{"id": 1}, {"id": 2}],
    "categories": [{"id": 1, "name": "a"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [50, 50, 40, 40], "area": 1600, "iscrowd": 0},
        {"id": 3, "image_id": 1, "category_id": 1, "bbox": [0, 0, 90, 90], "area": 8100, "iscrowd": 1},
    ],
}


def test_box_proposals(register, tmp_path):
    evaluator = COCOEvaluator(register(PROPOSAL_GT), output_dir=str(tmp_path))
    evaluator.reset()
    boxes = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0], [50.0, 50.0, 90.0, 80.0]]
    for image, logits in ((1, [1.0, 3.0, 2.0]), (2, [0.0, 0.0, 0.0])):
        evaluator.process([{"image_id": image}], [{"proposals": _proposals(boxes, logits)}])
    metrics = evaluator.evaluate()["box_proposals"]
    # the small object is covered by 1.0 and the medium one by 0.75, which 6 of 10 thresholds accept
    assert metrics["AR@100"] == pytest.approx(80)
    assert metrics["ARs@1000"] == pytest.approx(100) and metrics["ARm@100"] == pytest.approx(60)
    assert metrics["ARl@100"] == 0
    assert len(metrics) == 8 and (tmp_path / "box_proposals.pkl").is_file()

    stats = _evaluate_box_proposals(evaluator._predictions, evaluator._coco_api, limit=1)
    # one proposal only, of two objects
    assert stats["num_pos"] == 2 and stats["gt_overlaps"].tolist() == pytest.approx([0, 0.9])
    stats = _evaluate_box_proposals(evaluator._predictions, evaluator._coco_api, torch.tensor([0.7, 0.8]))
    assert stats["recalls"].tolist() == pytest.approx([1.0, 0.5])
    with pytest.raises(ValueError, match="'huge'.*'large'"):
        _evaluate_box_proposals([], evaluator._coco_api, area="huge")


def test_a_proposal_covers_one_object():
    from detectron2.evaluation.box_proposals import _greedy_coverage

    overlaps = torch.tensor([[0.9, 0.8, 0.3], [0.1, 0.6, 0.0]])
    # the first proposal goes to the first object; the second object is left with the second proposal
    assert _greedy_coverage(overlaps).tolist() == pytest.approx([0.9, 0.6, 0.0])


def test_old_call_with_cfg(register, caplog):
    cfg = CfgNode({"TEST": {"KEYPOINT_OKS_SIGMAS": [0.1, 0.2]}})
    evaluator = COCOEvaluator(register(golden_json("coco/gt")), cfg, False)
    assert evaluator._tasks is None and evaluator._kpt_oks_sigmas == [0.1, 0.2]
    assert "deprecated" in caplog.text


class TestBadInput:
    def test_unknown_task(self, register):
        with pytest.raises(ValueError, match="'box'.*'bbox'"):
            COCOEvaluator(register(golden_json("coco/gt")), tasks=["box"])

    def test_unwritable_output(self, register, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="output_dir .*file/out' of the evaluation cannot be written"):
            COCOEvaluator(register(golden_json("coco/gt")), output_dir=str(tmp_path / "file" / "out"))

    def test_missing_json_file(self, register, tmp_path):
        name = register(golden_json("coco/gt"))
        (tmp_path / f"{name}.json").unlink()
        with pytest.raises(FileNotFoundError, match=f"{name}.json"):
            COCOEvaluator(name)

    def test_no_json_file_and_no_output(self):
        with pytest.raises(ValueError, match="'test_without_json'.*output_dir"):
            COCOEvaluator("test_without_json")

    def test_class_the_data_set_lacks(self, register):
        gt, results = golden_json("coco/gt"), golden_json("coco/dt")
        evaluator = COCOEvaluator(register(gt))
        _process(evaluator, gt, results)
        evaluator._predictions[0]["instances"][0]["category_id"] = 6
        with pytest.raises(ValueError, match="image 100 has class 6, .* only 6 classes.*NUM_CLASSES"):
            evaluator.evaluate()

    def test_number_of_class_names(self, register):
        gt, results = golden_json("coco/gt"), golden_json("coco/dt")
        name = register(gt)
        evaluator = COCOEvaluator(name)
        _process(evaluator, gt, results, masks=False)
        evaluator._metadata = type("", (), {"get": lambda self, key: {"thing_classes": ["a", "b"]}.get(key)})()
        evaluator._predictions = [
            {**p, "instances": [{**r, "category_id": 1} for r in p["instances"]]} for p in evaluator._predictions
        ]
        with pytest.raises(ValueError, match="2 names.*6"):
            evaluator.evaluate()

    def test_protocol(self, register):
        gt, results = golden_json("coco/gt"), golden_json("coco/dt")
        coco = COCOEvaluator(register(gt))._coco_api
        with pytest.raises(ValueError, match="at least one detection"):
            _evaluate_predictions_on_coco(coco, [], "bbox")
        with pytest.raises(ValueError, match="three limits"):
            _evaluate_predictions_on_coco(coco, results, "bbox", max_dets_per_image=[100])
        with pytest.raises(ValueError, match="17 keypoints.*3 OKS"):
            _evaluate_predictions_on_coco(coco, results, "keypoints", kpt_oks_sigmas=[0.1] * 3)
        assert len(_evaluate_predictions_on_coco(coco, results, "keypoints").stats) == 10

    def test_a_failing_write_keeps_the_file_of_before(self, tmp_path):
        path = result_files.save_results([{"score": 1.0}], str(tmp_path))
        with pytest.raises(TypeError):
            result_files.save_results([{"score": object()}], str(tmp_path))
        with pytest.raises(AttributeError):
            result_files.save_predictions([{"f": lambda: None}], str(tmp_path))
        assert json.loads(open(path).read()) == [{"score": 1.0}]
        assert [p.name for p in tmp_path.iterdir()] == ["coco_instances_results.json"]
