import pytest
import torch

from detectron2.layers import ciou_loss, diou_loss
from tests.facts import golden

LOSSES = {"diou": diou_loss, "ciou": ciou_loss}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_value_and_gradient(name, reduction):
    facts = {key: torch.from_numpy(array) for key, array in golden("losses").items()}
    boxes = facts["b1"].clone().requires_grad_()
    loss = LOSSES[name](boxes, facts["b2"], reduction=reduction)
    torch.testing.assert_close(loss, facts[f"{name}_{reduction}"], rtol=1e-5, atol=1e-5)
    loss.sum().backward()
    torch.testing.assert_close(boxes.grad, facts[f"{name}_grad_{reduction}"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_no_boxes(loss):
    boxes = torch.zeros(0, 4, requires_grad=True)
    mean = loss(boxes, torch.zeros(0, 4), reduction="mean")
    assert mean == 0
    mean.backward()
    assert boxes.grad.shape == (0, 4) and loss(boxes, boxes).shape == (0,)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_equal_and_flat_boxes(loss):
    boxes = torch.tensor([[1.0, 2, 5, 9], [3, 3, 3, 3]])
    value = loss(boxes, boxes)
    torch.testing.assert_close(value[0], torch.tensor(0.0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_unknown_reduction(loss):
    with pytest.raises(ValueError, match="'average'"):
        loss(torch.zeros(1, 4), torch.zeros(1, 4), reduction="average")
