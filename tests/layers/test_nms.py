import pytest
import torch
import torchvision.ops

from detectron2.layers import batched_nms, nms
from tests.facts import golden


def random_boxes(count, classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 200
    boxes = torch.cat([corner, corner + 5 + 60 * torch.rand(count, 2, generator=generator)], dim=1)
    scores = torch.rand(count, generator=generator)
    return boxes, scores, torch.randint(classes, (count,), generator=generator)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_golden(threshold):
    facts = {name: torch.from_numpy(array) for name, array in golden("boxes_iou_nms").items()}
    keep = batched_nms(facts["nms_boxes"], facts["nms_scores"], facts["nms_idxs"], threshold)
    assert torch.equal(keep, facts[f"batched_keep_{threshold}"])


@pytest.mark.parametrize("count, classes", [(1, 1), (300, 4), (3000, 1), (6000, 80)])
def test_against_torchvision(count, classes):
    boxes, scores, idxs = random_boxes(count, classes)
    keep = batched_nms(boxes, scores, idxs, 0.5)
    assert torch.equal(keep, torchvision.ops.batched_nms(boxes, scores, idxs, 0.5))
    assert torch.equal(nms(boxes, scores, 0.5), torchvision.ops.nms(boxes, scores, 0.5))


def test_equal_scores_keep_their_order():
    boxes, _, idxs = random_boxes(3000, 10)
    scores = torch.full((3000,), 0.5)
    assert torch.equal(batched_nms(boxes, scores, idxs, 0.5), torchvision.ops.batched_nms(boxes, scores, idxs, 0.5))


def test_classes_leave_each_other_alone():
    boxes = torch.tensor([[0.0, 0, 10, 10]] * 4)
    keep = batched_nms(boxes, torch.tensor([0.1, 0.4, 0.3, 0.2]), torch.tensor([5, -1, 5, 7]), 0.5)
    assert keep.tolist() == [1, 2, 3]


def test_half_precision_does_not_move_boxes():
    boxes = torch.tensor([[1000.0, 0, 1008, 8], [1000.0, 0, 1008, 8.0]]).half()
    keep = batched_nms(boxes, torch.tensor([0.5, 0.6]).half(), torch.tensor([1, 1]), 0.5)
    assert keep.tolist() == [1]


def test_no_boxes():
    keep = batched_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), 0.5)
    assert keep.shape == (0,) and keep.dtype == torch.int64


def test_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"\(N, 4\), got \(2, 5\)"):
        batched_nms(torch.zeros(2, 5), torch.zeros(2), torch.zeros(2), 0.5)
