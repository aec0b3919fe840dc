"""Pooling of boxes from a pyramid."""

import pytest
import torch

from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels, convert_boxes_to_pooler_format
from detectron2.structures import Boxes
from tests.facts import golden

SCALES = [1 / 4, 1 / 8, 1 / 16, 1 / 32]


@pytest.fixture
def numbers() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in golden("roi_pooler").items()}


def pyramid(numbers) -> list[torch.Tensor]:
    return [numbers[f"feat{level}"].float() for level in range(4)]


@pytest.mark.parametrize(
    "key, arguments",
    [
        ("levels_2_5", (2, 5, 224, 4)),
        ("levels_3_7", (3, 7, 224, 4)),
        ("levels_2_5_canon100_3", (2, 5, 100, 3)),
    ],
)
def test_levels_agree_with_golden(numbers, key, arguments):
    parts = [Boxes(numbers["boxes"][:100]), Boxes(numbers["boxes"][100:])]
    levels = assign_boxes_to_levels(parts, *arguments)
    assert levels.dtype == torch.int64
    assert torch.equal(levels, numbers[key])


@pytest.mark.parametrize("pooler_type", ["ROIAlign", "ROIAlignV2", "ROIPool"])
def test_outputs_agree_with_golden(numbers, pooler_type):
    pooler = ROIPooler(5, SCALES, 0, pooler_type)
    boxes = [Boxes(numbers["b0"]), Boxes(numbers["b1"])]
    torch.testing.assert_close(pooler(pyramid(numbers), boxes), numbers[f"out_{pooler_type}"], rtol=1e-5, atol=1e-5)


def test_rows_follow_the_boxes_whatever_their_levels(numbers):
    pooler = ROIPooler(3, SCALES, 2, "ROIAlignV2")
    boxes = Boxes(torch.tensor([[0.0, 0.0, 500.0, 400.0], [4.0, 4.0, 20.0, 20.0], [0.0, 0.0, 240.0, 230.0]]))
    features = [feature[:1] for feature in pyramid(numbers)]
    together = pooler(features, [boxes])
    for row in range(3):
        torch.testing.assert_close(together[row], pooler(features, [boxes[row]])[0])


@pytest.mark.parametrize("scales", [SCALES, SCALES[:1]])
def test_without_boxes_every_feature_map_still_gets_a_gradient(numbers, scales):
    features = [feature.requires_grad_() for feature in pyramid(numbers)[: len(scales)]]
    pooler = ROIPooler(5, scales, 0, "ROIAlignV2")
    output = pooler(features, [Boxes(torch.zeros(0, 4)), Boxes(torch.zeros(0, 4))])
    assert output.shape == numbers["out_empty"].shape
    output.sum().backward()
    for feature in features:
        assert torch.equal(feature.grad, torch.zeros_like(feature))


def test_gradient_equals_that_of_each_box_alone(numbers):
    pooler = ROIPooler(3, SCALES, 2, "ROIAlignV2")
    boxes = Boxes(numbers["b0"])
    features = [feature[:1].requires_grad_() for feature in pyramid(numbers)]
    pooler(features, [boxes]).square().sum().backward()
    together = [feature.grad.clone() for feature in features]
    for feature in features:
        feature.grad = None
    for row in range(len(boxes)):
        pooler(features, [boxes[row]]).square().sum().backward()
    for feature, expected in zip(features, together, strict=True):
        torch.testing.assert_close(feature.grad, expected, rtol=1e-4, atol=1e-4)


def test_pooler_format_numbers_the_images():
    boxes = [Boxes(torch.ones(2, 4)), Boxes(torch.zeros(0, 4)), Boxes(torch.full((1, 4), 3.0))]
    rois = convert_boxes_to_pooler_format(boxes)
    assert rois.tolist() == [[0, 1, 1, 1, 1], [0, 1, 1, 1, 1], [2, 3, 3, 3, 3]]
    assert rois.dtype == torch.float32


def test_batch_without_images():
    assert ROIPooler((2, 3), SCALES, 0, "ROIAlign")([torch.zeros(0, 6, 4, 4)] * 4, []).shape == (0, 6, 2, 3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((5, SCALES, 0, "ROIMean"), "POOLER_TYPE.*ROIMean"),
        ((5, [1 / 4, 1 / 16], 0, "ROIAlign"), "powers of 2"),
        ((5, [0.3], 0, "ROIAlign"), "powers of 2"),
        (((5, 5, 5), SCALES, 0, "ROIAlign"), "output_size"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ROIPooler(*arguments)


def test_inputs_that_do_not_fit_are_refused(numbers):
    pooler = ROIPooler(5, SCALES, 0, "ROIAlign")
    boxes = [Boxes(numbers["b0"]), Boxes(numbers["b1"])]
    with pytest.raises(ValueError, match="4 levels, got 3"):
        pooler(pyramid(numbers)[:3], boxes)
    with pytest.raises(ValueError, match="1 images for a batch of 2"):
        pooler(pyramid(numbers), boxes[:1])


class _OneImage(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.pooler = ROIPooler(3, SCALES, 2, "ROIAlignV2")

    def forward(self, features, boxes):
        return self.pooler(features, [Boxes(boxes)])


def test_exports_with_the_number_of_boxes_left_open(numbers):
    module = _OneImage()
    features = [feature[:1] for feature in pyramid(numbers)]
    sizes = {"features": [None] * 4, "boxes": {0: torch.export.Dim("boxes", min=2)}}
    program = torch.export.export(module, (features, numbers["b1"]), dynamic_shapes=sizes)
    torch.testing.assert_close(program.module()(features, numbers["b0"]), module(features, numbers["b0"]))
