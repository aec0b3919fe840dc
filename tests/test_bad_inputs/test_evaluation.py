"""Evaluation: ground truth and output folders that are no good, and data without a single object."""

import json

import pytest
import torch

from detectron2.data import DatasetCatalog
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import COCOEvaluator, inference_on_dataset, verify_results
from detectron2.structures import Boxes, Instances
from tests.test_bad_inputs.material import HEIGHT, WIDTH, coco, contents
from tools.train_net import Trainer


def detections(*classes):
    found = Instances((HEIGHT, WIDTH))
    found.pred_boxes = Boxes(torch.tensor([[1.0, 2.0, 11.0, 22.0]] * len(classes)).reshape(-1, 4))
    found.scores = torch.full((len(classes),), 0.9)
    found.pred_classes = torch.tensor(classes, dtype=torch.int64)
    return [{"instances": found}]


def evaluated(evaluator, *classes):
    evaluator.reset()
    evaluator.process([{"image_id": 5}], detections(*classes))
    return evaluator.evaluate()


@pytest.mark.parametrize(
    "content, message",
    [("{", "JSON"), ("[]", "is no COCO json file"), ('{"annotations": [{"id": 1}]}', "image_id")],
    ids=["broken", "list", "no image id"],
)
def test_ground_truth_that_is_no_coco_json(content, message, dataset, tmp_path):
    path = dataset.write(content)
    with pytest.raises(ValueError, match=message) as error:
        COCOEvaluator(dataset.register(), output_dir=str(tmp_path / "out"))
    assert path in str(error.value)


def test_ground_truth_that_is_gone(dataset, tmp_path):
    name = dataset.register()
    dataset.json_file.unlink()
    with pytest.raises(FileNotFoundError, match=r"annotations\.json"):
        COCOEvaluator(name, output_dir=str(tmp_path / "out"))


def test_an_unknown_task(dataset):
    with pytest.raises(ValueError, match=r"unknown tasks \['box'\]; known: 'bbox'"):
        COCOEvaluator(dataset.register(), tasks=("box",))


@pytest.mark.parametrize("output", ["file/out", "file", "/proc/detectron2"])
def test_output_folders_that_cannot_be_written(output, dataset, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="cannot be written") as error:
        COCOEvaluator(dataset.register(), output_dir=str(tmp_path / output))
    assert str(tmp_path / output) in str(error.value)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("file", ["instances_predictions.pth", "coco_instances_results.json"])
def test_a_full_disk_keeps_the_former_results(file, dataset, tmp_path):
    name = dataset.register()
    DatasetCatalog.get(name)
    evaluator = COCOEvaluator(name, output_dir=str(tmp_path / "out"))
    evaluated(evaluator, 1)
    before = contents(tmp_path / "out")
    (tmp_path / "out" / f"{file}.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match=rf"out/{file}: No space left on device; the former file is unchanged"):
        evaluated(evaluator, 0, 1)
    assert contents(tmp_path / "out")[file] == before[file]


def test_a_class_that_the_data_does_not_have(dataset, tmp_path):
    name = dataset.register()
    DatasetCatalog.get(name)
    with pytest.raises(
        ValueError, match="image 5 has class 7, but data set 'bad_inputs' has only 2 classes.*NUM_CLASS"
    ):
        evaluated(COCOEvaluator(name, output_dir=str(tmp_path / "out")), 7)


@pytest.mark.parametrize("found", [(), (1,)], ids=["nothing found", "something found"])
@pytest.mark.parametrize("annotations", [[], None], ids=["empty", "no key"])
def test_ground_truth_without_objects(annotations, found, dataset, tmp_path):
    content = coco(annotations=annotations)
    if annotations is None:
        del content["annotations"]
    dataset.write(content)
    name = dataset.register()
    DatasetCatalog.get(name)
    results = evaluated(COCOEvaluator(name, output_dir=str(tmp_path / "out")), *found)
    assert len(json.loads((tmp_path / "out" / "coco_instances_results.json").read_text())) == len(found)
    if annotations is None:
        assert results == {}
    else:
        assert results["bbox"]["AP"] != results["bbox"]["AP"]  # NaN: there is nothing to find


def test_a_model_is_tested_on_data_without_objects(dataset, tmp_path):
    dataset.write(coco(annotations=[]))
    cfg = dataset.config(tmp_path / "out")
    dataset.register()
    results = Trainer.test(cfg, Trainer.build_model(cfg))
    assert set(results) == {"bbox"}


def test_a_truncated_image_in_the_middle_keeps_former_results(dataset, tmp_path):
    cfg = dataset.config(tmp_path / "out")
    name = dataset.register()
    model = Trainer.build_model(cfg)
    Trainer.test(cfg, model)
    before = contents(tmp_path / "out")
    assert "inference/coco_instances_results.json" in before
    picture = dataset.images / "a.png"
    picture.write_bytes(picture.read_bytes()[:500])
    with pytest.raises(OSError, match=r"cannot read image .*a\.png"):
        inference_on_dataset(
            model,
            Trainer.build_test_loader(cfg, name),
            COCOEvaluator(name, output_dir=str(tmp_path / "out" / "inference")),
        )
    assert contents(tmp_path / "out") == before


def test_other_numbers_of_evaluators(dataset, tmp_path):
    cfg = dataset.config(tmp_path / "out")
    name = dataset.register()
    with pytest.raises(ValueError, match="2 evaluators for 1 data sets in DATASETS.TEST"):
        DefaultTrainer.test(cfg, None, [COCOEvaluator(name), COCOEvaluator(name)])


def test_results_that_are_not_the_expected_ones(dataset, tmp_path, log):
    cfg = dataset.config(tmp_path / "out")
    cfg.TEST.EXPECTED_RESULTS = [["bbox", "AP", 40.0, 1.0], ["segm", "AP", 30.0, 1.0]]
    with pytest.raises(SystemExit) as error:
        verify_results(cfg, {"bbox": {"AP": float("nan")}})
    assert error.value.code == 1
    assert "bbox/AP: expected 40.0 +- 1.0, got nan" in log.text and "segm/AP" in log.text
