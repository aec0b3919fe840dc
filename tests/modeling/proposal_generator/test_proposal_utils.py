"""Choice of proposals and their union with the ground truth."""

import math

import pytest
import torch

from detectron2.modeling.proposal_generator.proposal_utils import (
    add_ground_truth_to_proposals,
    add_ground_truth_to_proposals_single_image,
    find_top_rpn_proposals,
)
from detectron2.structures import Boxes, Instances
from tests.facts import golden

SIZES = [(160, 200), (150, 180)]


@pytest.fixture
def numbers() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in golden("find_top_rpn_proposals").items()}


def levels(numbers) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    return [numbers[f"props{i}"].clone() for i in range(3)], [numbers[f"logits{i}"].clone() for i in range(3)]


@pytest.mark.parametrize("training, pre, min_size, post", [(1, 50, 0, 40), (0, 1000, 5, 1000), (0, 30, 0, 15)])
def test_golden(numbers, training, pre, min_size, post):
    results = find_top_rpn_proposals(*levels(numbers), SIZES, 0.7, pre, post, min_size, bool(training))
    for image, (result, size) in enumerate(zip(results, SIZES, strict=True)):
        suffix = f"{training}_{pre}_{min_size}_{post}_img{image}"
        assert result.image_size == size
        torch.testing.assert_close(result.proposal_boxes.tensor, numbers[f"boxes_{suffix}"], rtol=0, atol=1e-5)
        torch.testing.assert_close(result.objectness_logits, numbers[f"scores_{suffix}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["boxes", "logits"])
def test_numbers_that_are_not_finite_stop_training_and_are_dropped_in_inference(numbers, value, where):
    boxes, logits = levels(numbers)
    (boxes if where == "boxes" else logits)[1][0, int(logits[1][0].argmax())] = value
    with pytest.raises(FloatingPointError, match="1 of .* proposals.*BASE_LR"):
        find_top_rpn_proposals(boxes, logits, SIZES, 0.7, 50, 40, 0, True)
    results = find_top_rpn_proposals(boxes, logits, SIZES, 0.7, 50, 40, 0, False)
    assert len(results[0]) == 40 and results[0].proposal_boxes.tensor.isfinite().all()


def test_levels_without_anchors_and_boxes_that_are_too_small():
    boxes = [torch.zeros(1, 0, 4), torch.tensor([[[0.0, 0.0, 3.0, 3.0], [0.0, 0.0, 9.0, 9.0]]])]
    logits = [torch.zeros(1, 0), torch.tensor([[5.0, 1.0]])]
    (result,) = find_top_rpn_proposals(boxes, logits, [(20, 20)], 0.7, 10, 10, 5, False)
    assert result.proposal_boxes.tensor.tolist() == [[0.0, 0.0, 9.0, 9.0]]
    (result,) = find_top_rpn_proposals(boxes, logits, [(20, 20)], 0.7, 10, 10, 50, False)
    assert len(result) == 0 and result.proposal_boxes.tensor.shape == (0, 4)


def _proposals(count: int, **fields) -> Instances:
    return Instances((9, 9), proposal_boxes=Boxes(torch.ones(count, 4)), objectness_logits=torch.zeros(count), **fields)


@pytest.mark.parametrize("as_instances", [True, False])
@pytest.mark.parametrize("count", [0, 3])
def test_ground_truth_is_appended_as_sure(as_instances, count):
    boxes = Boxes(torch.full((2, 4), 7.0))
    gt = Instances((9, 9), gt_boxes=boxes, gt_classes=torch.tensor([1, 2])) if as_instances else boxes
    (joined,) = add_ground_truth_to_proposals([gt], [_proposals(count)])
    assert sorted(joined.get_fields()) == ["objectness_logits", "proposal_boxes"]
    assert joined.proposal_boxes.tensor[count:].tolist() == [[7.0] * 4] * 2
    torch.testing.assert_close(joined.objectness_logits[count:].sigmoid(), torch.ones(2))
    assert joined.objectness_logits.isfinite().all()


def test_image_without_ground_truth_keeps_its_proposals():
    joined = add_ground_truth_to_proposals_single_image(Boxes(torch.zeros(0, 4)), _proposals(3))
    assert len(joined) == 3


def test_further_fields_come_from_the_ground_truth_or_are_an_error():
    proposals = _proposals(2, track_ids=torch.tensor([4, 5]))
    gt = Instances((9, 9), gt_boxes=Boxes(torch.zeros(1, 4)), track_ids=torch.tensor([6]))
    assert add_ground_truth_to_proposals_single_image(gt, proposals).track_ids.tolist() == [4, 5, 6]
    gt.remove("track_ids")
    with pytest.raises(ValueError, match="track_ids"):
        add_ground_truth_to_proposals_single_image(gt, proposals)
    with pytest.raises(ValueError, match="1 images for proposals of 0"):
        add_ground_truth_to_proposals([gt], [])
