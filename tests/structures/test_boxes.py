import numpy as np
import pytest
import torch

from detectron2.structures import Boxes, BoxMode, pairwise_ioa, pairwise_iou, pairwise_point_box_distance
from detectron2.structures.boxes import matched_pairwise_iou, pairwise_intersection
from tests.facts import golden


@pytest.fixture
def facts():
    return {name: torch.from_numpy(array) for name, array in golden("boxes_iou_nms").items()}


def close(actual, expected, tolerance=1e-6):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def test_pairwise_measures(facts):
    first, second = Boxes(facts["boxes1"]), Boxes(facts["boxes2"])
    close(pairwise_iou(first, second), facts["iou"])
    close(pairwise_ioa(first, second), facts["ioa"])
    close(pairwise_intersection(first, second), facts["inter"])
    close(matched_pairwise_iou(first[: len(second)], second), facts["matched_iou"])
    close(pairwise_point_box_distance(facts["points"], second), facts["point_box_distance"])


def test_members(facts):
    boxes = Boxes(facts["clip_in"])
    boxes.clip((100, 150))
    close(boxes.tensor, facts["clip_out_100x150"])
    close(boxes.area(), facts["area"])
    close(boxes.get_centers(), facts["centers"])
    assert torch.equal(boxes.nonempty(5), facts["nonempty_thr5"])
    assert torch.equal(boxes.inside_box((90, 120), 3), facts["inside_box_120x90_thr3"])
    scaled = Boxes(facts["clip_in"])
    copied = scaled.clone()
    copied.scale(1.5, 0.5)
    close(copied.tensor, facts["scale_1.5_0.5"])
    close(scaled.tensor, facts["clip_in"])


@pytest.mark.parametrize("measure", [pairwise_iou, pairwise_ioa, pairwise_intersection])
@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (0, 0)])
def test_pairwise_of_no_boxes(measure, sizes):
    assert measure(*[Boxes(torch.rand(n, 4)) for n in sizes]).shape == sizes


def test_boxes_without_extent_overlap_nothing():
    point = Boxes([[3.0, 3, 3, 3], [5, 5, 2, 2]])
    assert pairwise_iou(point, point)[0].eq(0).all()
    assert pairwise_ioa(Boxes([[0.0, 0, 9, 9]]), point)[0, 0] == 0


def test_pairwise_iou_has_gradients():
    first = torch.tensor([[0.0, 0, 4, 4], [1, 1, 6, 7]], dtype=torch.float32, requires_grad=True)
    second = torch.tensor([[2.0, 1, 5, 6.5]])
    pairwise_iou(Boxes(first), Boxes(second)).sum().backward()
    numeric = torch.zeros_like(first)
    for i in range(2):
        for j in range(4):
            step = torch.zeros_like(first)
            step[i, j] = 1e-2
            ends = [pairwise_iou(Boxes(first.detach() + s * step), Boxes(second)).sum() for s in (1, -1)]
            numeric[i, j] = (ends[0] - ends[1]) / 2e-2
    close(first.grad, numeric, 1e-3)


def test_indexing_and_cat():
    boxes = Boxes(torch.arange(12.0).view(3, 4))
    assert len(boxes) == 3 and [tuple(row.shape) for row in boxes] == [(4,)] * 3
    assert boxes[1].tensor.tolist() == [[4.0, 5, 6, 7]]
    assert boxes[-1].tensor.tolist() == boxes[2:].tensor.tolist()
    assert len(boxes[torch.tensor([True, False, True])]) == 2
    assert torch.equal(boxes[torch.tensor([2, 0])].tensor, boxes.tensor[[2, 0]])
    assert torch.equal(Boxes.cat([boxes[:1], boxes[1:]]).tensor, boxes.tensor)
    assert len(Boxes.cat([])) == 0
    with pytest.raises(ValueError, match="no boxes"):
        boxes[0, 1]


@pytest.mark.parametrize("empty", [[], torch.zeros(0), torch.zeros(0, 4), torch.zeros(0, 5), np.zeros((0, 4))])
def test_no_boxes(empty):
    boxes = Boxes(empty)
    assert boxes.tensor.shape == (0, 4) and boxes.tensor.dtype == torch.float32
    boxes.clip((10, 10))
    boxes.scale(2, 2)
    assert boxes.area().shape == boxes.nonempty().shape == (0,)
    assert boxes.get_centers().shape == (0, 2) and list(boxes) == []


@pytest.mark.parametrize("wrong", [torch.zeros(3, 5), torch.zeros(4), torch.zeros(1, 2, 4)])
def test_wrong_shape_is_named(wrong):
    with pytest.raises(ValueError, match=r"\(N, 4\).*got \(" + str(wrong.shape[0])):
        Boxes(wrong)


def test_matched_sets_of_different_size():
    with pytest.raises(ValueError, match="3 and 2"):
        matched_pairwise_iou(Boxes(torch.rand(3, 4)), Boxes(torch.rand(2, 4)))


def test_half_precision_and_integers_become_float32():
    for dtype in (torch.float16, torch.bfloat16, torch.int64, torch.float64):
        assert Boxes(torch.ones(2, 4, dtype=dtype)).tensor.dtype == torch.float32


CONVERSIONS = [
    ("xyxy", BoxMode.XYXY_ABS, "xyxy_to_xywh", BoxMode.XYWH_ABS),
    ("xyxy", BoxMode.XYWH_ABS, "xywh_to_xyxy", BoxMode.XYXY_ABS),
    ("xyxy", BoxMode.XYWH_ABS, "xywh_to_xywha", BoxMode.XYWHA_ABS),
    ("boxes", BoxMode.XYWHA_ABS, "xywha_to_xyxy", BoxMode.XYXY_ABS),
]


@pytest.mark.parametrize("source, from_mode, result, to_mode", CONVERSIONS)
def test_box_mode(source, from_mode, result, to_mode):
    facts = golden("rotated_boxes_boxmode")
    given, expected = facts[source], facts[result]
    converted = BoxMode.convert(given, from_mode, to_mode)
    assert isinstance(converted, np.ndarray) and converted.dtype == np.float32
    np.testing.assert_allclose(converted, expected, rtol=1e-4, atol=1e-4)
    tensor = BoxMode.convert(torch.from_numpy(given), from_mode, to_mode)
    np.testing.assert_array_equal(tensor.numpy(), converted)
    for kind in (list, tuple):
        single = BoxMode.convert(kind(given[0].tolist()), from_mode, to_mode)
        assert type(single) is kind
        np.testing.assert_allclose(single, expected[0], rtol=1e-4, atol=1e-4)


def test_box_mode_leaves_its_input_alone():
    box = np.array([[1.0, 2, 3, 4]])
    BoxMode.convert(box, BoxMode.XYWH_ABS, BoxMode.XYXY_ABS)
    assert box.tolist() == [[1, 2, 3, 4]]
    assert BoxMode.convert(box, BoxMode.XYWH_ABS, BoxMode.XYWH_ABS) is box
    assert BoxMode.convert([1, 2, 3, 4], 1, 0) == [1, 2, 4, 6]  # data sets store the number
    assert BoxMode.convert(np.zeros((0, 4)), BoxMode.XYWH_ABS, BoxMode.XYXY_ABS).shape == (0, 4)


@pytest.mark.parametrize(
    "box, from_mode, to_mode, message",
    [
        ([1, 2, 3], BoxMode.XYWH_ABS, BoxMode.XYXY_ABS, "4 numbers"),
        ([1, 2, 3, 4], BoxMode.XYWHA_ABS, BoxMode.XYXY_ABS, "5 numbers"),
        ([0, 0, 1, 1], BoxMode.XYXY_REL, BoxMode.XYXY_ABS, "XYXY_REL"),
        (torch.zeros(2, 4), BoxMode.XYXY_ABS, BoxMode.XYWH_REL, "XYWH_REL"),
        ([0, 0, 1, 1], 7, BoxMode.XYXY_ABS, "7 is not a valid BoxMode"),
    ],
)
def test_box_mode_refuses(box, from_mode, to_mode, message):
    with pytest.raises(ValueError, match=message):
        BoxMode.convert(box, from_mode, to_mode)
