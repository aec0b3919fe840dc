"""The forms of every detector give what the model gives."""

import pytest
import torch
from detectron2.projects.yolo.postprocessing import Postprocessing
from torch import nn

from tests.modeling.tiny_models import eval_inputs, tiny_model
from third_party.deploy import TorchSession, detector_parts, predict, register_parts
from third_party.deploy.protocol import select

from .detectors import BUILDERS, detector, pictures

GOLDEN = ("retinanet_tiny", "faster_rcnn_fpn_tiny", "mask_rcnn_fpn_tiny", "mask_rcnn_c4_tiny")


def check_same(wanted, found, masks: bool) -> None:
    for one, other in zip(wanted, found, strict=True):
        a, b = one["instances"], other["instances"]
        assert len(a) == len(b) > 0
        assert a.image_size == b.image_size
        torch.testing.assert_close(b.pred_boxes.tensor, a.pred_boxes.tensor, rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(b.scores, a.scores, rtol=1e-5, atol=1e-5)
        assert torch.equal(a.pred_classes, b.pred_classes)
        if masks and a.has("pred_masks"):
            assert (a.pred_masks != b.pred_masks).float().mean() < 1e-4


@pytest.mark.parametrize("form", ["suppressed", "detector"])
@pytest.mark.parametrize("name", [*BUILDERS, *GOLDEN])
@torch.no_grad()
def test_forms_give_the_model_s_detections(name, form):
    own = name in BUILDERS
    model, inputs = (detector(name), pictures()) if own else (tiny_model(name), eval_inputs(name))
    parts = detector_parts(model)
    check_same(model(inputs), predict(TorchSession(parts, form), parts, inputs), masks=form == "suppressed")


@pytest.mark.parametrize("iou_threshold", [0.5, 1.0])
@pytest.mark.parametrize("multi_label", [True, False])
@pytest.mark.parametrize("class_agnostic", [True, False])
def test_selection_is_yolo_s_postprocessing(iou_threshold, multi_label, class_agnostic):
    settings = Postprocessing(0.3, iou_threshold, 30000, 15, multi_label, class_agnostic)
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(2, 50, 2, generator=generator) * 50
    boxes = torch.cat([corner, corner + 5 + 20 * torch.rand(2, 50, 2, generator=generator)], dim=2)
    scores = torch.rand(2, 50, 4, generator=generator)
    scores[1] *= 0.32  # few candidates: rows of padding
    found = select(settings, boxes, scores)
    for image, wanted in enumerate(settings(boxes, scores, [(80, 80)] * 2)):
        count = int(found.counts[image])
        assert count == len(wanted)
        torch.testing.assert_close(found.boxes[image, :count], wanted.pred_boxes.tensor)
        torch.testing.assert_close(found.scores[image, :count], wanted.scores)
        assert torch.equal(found.classes[image, :count], wanted.pred_classes)
        assert (found.classes[image, count:] == -1).all()
        assert not found.scores[image, count:].any() and not found.boxes[image, count:].any()


def test_a_model_in_training_is_refused():
    with pytest.raises(ValueError, match=r"call model\.eval\(\)"):
        detector_parts(detector("retinanet").train())


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match="no exportable form of Linear is known.*DenseDetector"):
        detector_parts(nn.Linear(1, 1).eval())


def test_a_class_has_parts_once():
    with pytest.raises(ValueError, match="RetinaNet has parts already|DenseDetector has parts already"):
        from detectron2.modeling.meta_arch.dense_detector import DenseDetector

        register_parts(DenseDetector)(lambda model: detector_parts(model))


def test_sizes_and_forms_are_checked():
    parts = detector_parts(detector("mask_rcnn"))
    with pytest.raises(ValueError, match="width is 40, but must be a positive multiple of 16"):
        parts.example("suppressed", 32, 40)
    with pytest.raises(ValueError, match="did you mean 'suppressed'"):
        parts.form("supressed")
    assert [len(parts.example(form)) for form in ("dense", "detector", "suppressed")] == [1, 2, 2]
    assert parts.output_names("suppressed") == ["boxes", "scores", "classes", "counts", "masks"]
    assert set(parts.regions) == {"box", "mask"}


def test_detections_need_a_number_of_rows():
    model = detector("mask_rcnn")
    model.roi_heads.box_predictor.test_topk_per_image = -1
    with pytest.raises(ValueError, match="DETECTIONS_PER_IMAGE"):
        detector_parts(model)
