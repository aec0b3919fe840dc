"""Box regression losses and their gradients against golden numbers."""

import pytest
import torch

from detectron2.modeling.losses import giou_loss, smooth_l1_loss
from tests.facts import golden


@pytest.fixture
def numbers() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in golden("losses").items()}


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_giou(numbers, reduction):
    boxes = numbers["b1"].clone().requires_grad_()
    loss = giou_loss(boxes, numbers["b2"], reduction=reduction)
    torch.testing.assert_close(loss, numbers[f"giou_{reduction}"], rtol=1e-5, atol=1e-5)
    loss.sum().backward()
    torch.testing.assert_close(boxes.grad, numbers[f"giou_grad_{reduction}"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("beta", ["0", "0.1", "1"])
def test_smooth_l1(numbers, beta):
    boxes = numbers["b1"].clone().requires_grad_()
    loss = smooth_l1_loss(boxes, numbers["b2"], beta=float(beta), reduction="sum")
    torch.testing.assert_close(loss, numbers[f"sl1_{beta}"], rtol=1e-5, atol=1e-5)
    loss.backward()
    torch.testing.assert_close(boxes.grad, numbers[f"sl1_grad_{beta}"], rtol=1e-5, atol=1e-5)


def test_mean_over_nothing_is_zero_and_stays_in_the_graph():
    empty = torch.zeros(0, 4, requires_grad=True)
    for loss in (giou_loss(empty, empty, reduction="mean"), smooth_l1_loss(empty, empty, 0.1, reduction="mean")):
        assert loss.item() == 0 and loss.requires_grad
    with pytest.raises(ValueError, match="average"):
        giou_loss(empty, empty, reduction="average")
