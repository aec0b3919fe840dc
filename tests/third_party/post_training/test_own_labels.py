"""What the float model detects, as the truth that the quantized one is tuned to."""

import pytest
import torch

from detectron2.structures import Boxes, Instances
from tests.projects.yolo.test_meta_arch import config, model_of
from tests.third_party.deploy.detectors import BUILDERS, detector, pictures
from third_party.post_training.calibration import calibrate_detector
from third_party.post_training.loss import DetectionLoss
from third_party.post_training.own_labels import OwnLabels, as_labels, at_input_size
from third_party.quantization.ptq.recipe import PTQRecipe

RECIPE = {
    "WEIGHTS": {"BITS": 4},
    "ACTIVATIONS": {"BITS": 4},
    "STEPS": {"MIGRATE": False, "BIAS_CORRECTION": False},
    "TUNING": {"ITERATIONS": 3},
}


def model(name):
    return detector(name) if name in BUILDERS else model_of(config(name)).eval()


@pytest.mark.parametrize("name", ["retinanet", "fcos", "mask_rcnn", "yolox", "yolov8"])
def test_a_detector_is_tuned_to_its_own_detections(name):
    quantized = model(name)
    result = calibrate_detector(quantized, PTQRecipe.from_mapping(RECIPE), [pictures(), pictures()])
    (row,) = [step for step in result.steps if step["step"] == "tune"]
    assert row["layers"] and row["iterations"] == 3 and row["lesson"][0] > 0 and "seconds" in row
    assert not row["kept"] or row["lesson"][1] < row["lesson"][0] or row["error"][1] < row["error"][0]


@pytest.mark.parametrize("name", ["retinanet", "mask_rcnn"])
def test_the_loss_is_that_of_the_detections_at_input_size(name):
    taught = detector(name)
    batch = [
        image | {"height": 2 * image["image"].shape[1], "width": 2 * image["image"].shape[2]} for image in pictures()
    ]
    with torch.no_grad():
        found, plain = at_input_size(taught, batch), taught([{"image": image["image"]} for image in batch])
    for one, other, image in zip(found, plain, batch, strict=True):
        assert one["instances"].image_size == tuple(image["image"].shape[1:])
        assert torch.equal(one["instances"].pred_boxes.tensor, other["instances"].pred_boxes.tensor)
    threshold = float(torch.cat([one["instances"].scores for one in found]).median())
    loss = OwnLabels(threshold)(taught, batch, found)
    labelled = [
        image | {"instances": as_labels(one["instances"], threshold)} for image, one in zip(batch, found, strict=True)
    ]
    assert sum(len(one["instances"]) for one in labelled) > 0
    assert loss.item() == pytest.approx(DetectionLoss()(taught, labelled))
    assert loss.requires_grad and not any(module.training for module in taught.modules())


def test_detections_below_the_threshold_are_no_labels():
    found = Instances((10, 10))
    found.pred_boxes = Boxes(torch.tensor([[1.0, 1, 5, 5], [2, 2, 6, 6], [3, 3, 9, 9]]))
    found.scores, found.pred_classes = torch.tensor([0.9, 0.3, 0.31]), torch.tensor([0, 1, 2])
    found.pred_keypoints = torch.rand(3, 5, 3)
    labels = as_labels(found, 0.3)
    assert labels.gt_classes.tolist() == [0, 2]
    assert torch.equal(labels.gt_boxes.tensor, found.pred_boxes.tensor[[0, 2]])
    assert torch.equal(labels.gt_keypoints.tensor[..., :2], found.pred_keypoints[[0, 2], :, :2])
    assert bool((labels.gt_keypoints.tensor[..., 2] == 2).all())
