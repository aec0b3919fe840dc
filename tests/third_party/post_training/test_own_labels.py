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
    if name in BUILDERS:
        return detector(name)
    made = model_of(config(name)).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:  # so that outputs follow inputs
                parameter.normal_(0, (2.0 / parameter[0].numel()) ** 0.5)
    return made


@pytest.mark.parametrize("name", ["retinanet", "fcos", "mask_rcnn", "yolox", "yolov8", "yolov9", "yolov10", "yolo26"])
def test_a_detector_is_tuned_to_its_own_detections(name):
    quantized = model(name)
    before = {key: value.clone() for key, value in quantized.state_dict().items()}
    recipe = PTQRecipe.from_mapping(RECIPE)
    result = calibrate_detector(quantized, recipe, [pictures(), pictures()])
    (row,) = [step for step in result.steps if step["step"] == "tune"]
    assert row["layers"] and row["iterations"] == 3 and row["error"][0] > 1e-6 and row["lesson"][0] > 0
    after = quantized.state_dict()
    moved = {key for key, value in before.items() if not torch.equal(value, after[key])}
    assert bool(moved) == row["kept"]


def test_branches_that_only_training_has_do_not_cut_the_backbone_off():
    quantized = model("yolov10")
    frozen = PTQRecipe.from_mapping(RECIPE | {"TUNING": {"ITERATIONS": 6, "LESSON": 0.0}})
    before = {key: value.clone() for key, value in quantized.state_dict().items()}
    result = calibrate_detector(quantized, frozen, [pictures()])
    (row,) = [step for step in result.steps if step["step"] == "tune"]
    after = quantized.state_dict()
    assert row["kept"] and not torch.equal(before["network.layers.0.weight"], after["network.layers.0.weight"])
    assert not any("one_to_many" in key for key, value in before.items() if not torch.equal(value, after[key]))


def test_nothing_to_learn_from_is_said():
    blank = model("yolox")
    with torch.no_grad():
        for key, parameter in blank.named_parameters():
            if "objectness_predictors" in key:
                parameter.fill_(-9.0 if key.endswith("bias") else 0.0)
    result = calibrate_detector(blank, PTQRecipe.from_mapping(RECIPE), [pictures()])
    assert any("detects nothing above a score of 0.3" in warning for warning in result.warnings)
    with pytest.raises(ValueError, match="YOLO detects no instances"):
        OwnLabels()(blank, pictures(), [{"proposals": None}])


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
