"""Box encodings and the dense regression loss against the golden numbers, and at their edges."""

import math

import pytest
import torch

from detectron2.modeling.box_regression import (
    Box2BoxTransform,
    Box2BoxTransformLinear,
    _dense_box_regression_loss,
)
from detectron2.structures import Boxes
from tests.facts import golden

WEIGHTS = {"w1": (1.0, 1.0, 1.0, 1.0), "w10": (10.0, 10.0, 5.0, 5.0)}


@pytest.fixture
def numbers() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in golden("box_transforms").items()}


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("key", WEIGHTS)
def test_centre_form_agrees_with_golden(numbers, key):
    transform = Box2BoxTransform(WEIGHTS[key])
    assert transform.scale_clamp == pytest.approx(float(numbers["scale_clamp"]))
    deltas = transform.get_deltas(numbers["src"], numbers["tgt"])
    close(deltas, numbers[f"deltas_{key}"])
    close(transform.apply_deltas(deltas, numbers["src"]), numbers[f"roundtrip_{key}"])
    close(transform.apply_deltas(numbers[f"rand_deltas_{key}"], numbers["src"]), numbers[f"applied_{key}"])


@pytest.mark.parametrize("normalize", [True, False])
def test_linear_form_agrees_with_golden(numbers, normalize):
    transform = Box2BoxTransformLinear(normalize_by_size=normalize)
    suffix = f"norm{int(normalize)}"
    close(transform.get_deltas(numbers["src"], numbers["tgt"]), numbers[f"lin_deltas_{suffix}"])
    close(transform.apply_deltas(numbers[f"lin_rand_{suffix}"], numbers["src"]), numbers[f"lin_applied_{suffix}"])


@pytest.mark.parametrize("loss_type", ["smooth_l1", "giou", "diou", "ciou"])
def test_dense_loss_and_gradient_agree_with_golden(numbers, loss_type):
    predictions = [numbers[f"dense_pred{level}"].clone().requires_grad_() for level in (0, 1)]
    anchors = [Boxes(numbers["src"][:20]), numbers["src"][20:]]  # both kinds are allowed
    loss = _dense_box_regression_loss(
        anchors,
        Box2BoxTransform(WEIGHTS["w1"]),
        predictions,
        [numbers["tgt"], numbers["tgt"].flip(0)],
        numbers["dense_fg"],
        box_reg_loss_type=loss_type,
        smooth_l1_beta=0.1,
    )
    close(loss, numbers[f"dense_{loss_type}_loss"])
    loss.backward()
    for level, prediction in enumerate(predictions):
        close(prediction.grad, numbers[f"dense_{loss_type}_grad{level}"])


@pytest.mark.parametrize("loss_type", ["smooth_l1", "giou", "diou", "ciou"])
def test_dense_loss_without_foreground_is_zero_with_zero_gradient(loss_type):
    prediction = torch.randn(2, 5, 4, requires_grad=True)
    anchors = Boxes(torch.tensor([[0.0, 0.0, 8.0, 8.0]]).repeat(5, 1))
    no_foreground = torch.zeros(2, 5, dtype=torch.bool)
    transform = Box2BoxTransform(WEIGHTS["w1"])
    loss = _dense_box_regression_loss(
        [anchors], transform, [prediction], [torch.zeros(5, 4)] * 2, no_foreground, loss_type
    )
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


def test_unknown_loss_type_names_the_choices():
    arguments = ([torch.ones(1, 4)], Box2BoxTransform(WEIGHTS["w1"]), [torch.zeros(1, 1, 4)], [torch.ones(1, 4)])
    with pytest.raises(ValueError, match="'l3'.*smooth_l1, giou, diou, ciou"):
        _dense_box_regression_loss(*arguments, torch.ones(1, 1, dtype=torch.bool), box_reg_loss_type="l3")


def test_empty_boxes_and_many_classes_keep_their_shape():
    transform = Box2BoxTransform(WEIGHTS["w10"])
    assert transform.apply_deltas(torch.zeros(0, 320), torch.zeros(0, 4)).shape == (0, 320)
    assert transform.get_deltas(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)
    assert Box2BoxTransformLinear().apply_deltas(torch.zeros(2, 0, 4), torch.zeros(0, 4)).shape == (2, 0, 4)


def test_half_precision_is_decoded_in_float32_and_growth_is_clamped():
    deltas = torch.tensor([[0.0, 0.0, 40.0, 40.0]], dtype=torch.float16)
    boxes = Box2BoxTransform(WEIGHTS["w1"]).apply_deltas(deltas, torch.tensor([[0.0, 0.0, 16.0, 16.0]]))
    assert boxes.dtype == torch.float32
    assert float(boxes[0, 2] - boxes[0, 0]) == pytest.approx(1000.0, rel=1e-5)
    assert math.isfinite(float(boxes.sum()))


def test_each_image_may_have_references_of_its_own():
    transform = Box2BoxTransform(WEIGHTS["w10"])
    boxes = torch.rand(2, 7, 4) + torch.tensor([0.0, 0.0, 1.0, 1.0])
    deltas = torch.randn(2, 7, 4)
    together = transform.apply_deltas(deltas, boxes)
    for image in range(2):
        torch.testing.assert_close(together[image], transform.apply_deltas(deltas[image], boxes[image]))
