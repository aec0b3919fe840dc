"""Rescaling of results to the size of the output."""

import pytest
import torch

from detectron2.modeling.postprocessing import detector_postprocess, sem_seg_postprocess
from detectron2.structures import Boxes, Instances
from tests.facts import golden


@pytest.fixture
def numbers() -> dict[str, torch.Tensor]:
    arrays = {k: torch.from_numpy(v) for k, v in golden("postprocess").items() if v.dtype.kind in "biuf"}
    # The golden holds its input boxes as they were after a call that scaled them in place.
    arrays["boxes"] = arrays["boxes"] / torch.tensor([2.5, 2.0, 2.5, 2.0])
    return arrays


@pytest.fixture
def detections(numbers) -> Instances:
    return Instances(
        (60, 80),
        pred_boxes=Boxes(numbers["boxes"].clone()),
        scores=numbers["scores"],
        pred_classes=torch.arange(len(numbers["scores"])),
        pred_masks=numbers["masks"],
        pred_keypoints=numbers["kp"].clone(),
    )


def test_detections_agree_with_golden(numbers, detections):
    output = detector_postprocess(detections, 120, 200)
    assert output.image_size == (120, 200)
    torch.testing.assert_close(output.pred_boxes.tensor, numbers["o_boxes"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.pred_keypoints, numbers["o_kp"], rtol=1e-4, atol=1e-4)
    assert torch.equal(output.scores, numbers["o_scores"])
    assert torch.equal(output.pred_classes, numbers["o_cls"])
    assert output.pred_masks.dtype == torch.bool and output.pred_masks.shape == numbers["o_masks"].shape
    assert (output.pred_masks != numbers["o_masks"]).float().mean() <= 1e-3


def test_input_is_left_unchanged(numbers, detections):
    detector_postprocess(detections, 30, 40)
    assert torch.equal(detections.pred_boxes.tensor, numbers["boxes"])
    assert torch.equal(detections.pred_keypoints, numbers["kp"])
    assert detections.image_size == (60, 80)


def test_no_detections_keep_every_field(detections):
    output = detector_postprocess(detections[torch.zeros(len(detections), dtype=torch.bool)], 120, 200)
    assert len(output) == 0
    assert output.pred_masks.shape == (0, 120, 200)


def test_proposals_are_rescaled_too():
    proposals = Instances((10, 10), proposal_boxes=Boxes(torch.tensor([[1.0, 1.0, 4.0, 12.0]])))
    output = detector_postprocess(proposals, 20, 30)
    assert output.proposal_boxes.tensor.tolist() == [[3.0, 2.0, 12.0, 20.0]]


def test_instances_without_boxes_are_refused():
    with pytest.raises(ValueError, match="pred_boxes.*scores"):
        detector_postprocess(Instances((10, 10), scores=torch.ones(2)), 20, 20)


def test_semantic_scores_agree_with_golden(numbers):
    output = sem_seg_postprocess(numbers["sem_in"], (13, 18), 26, 40)
    torch.testing.assert_close(output, numbers["sem_out"], rtol=1e-4, atol=1e-4)
