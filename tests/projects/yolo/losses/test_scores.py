"""Losses of class scores against their closed forms."""

import math

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.losses.bce import binary_cross_entropy, smoothed_one_hot
from detectron2.projects.yolo.losses.varifocal import varifocal_loss


def test_cross_entropy_weighs_the_positive_part() -> None:
    p = 1 / (1 + math.exp(-0.7))
    for target in (0.0, 0.3, 1.0):
        loss = binary_cross_entropy(torch.tensor([0.7]), torch.tensor([target]), 2.5)
        assert loss.item() == pytest.approx(-(2.5 * target * math.log(p) + (1 - target) * math.log(1 - p)), rel=1e-5)


def test_smoothing_moves_both_ends() -> None:
    rows = smoothed_one_hot(torch.tensor([2, 0]), 3, 0.1)
    np.testing.assert_allclose(rows, [[0.05, 0.05, 0.95], [0.95, 0.05, 0.05]], atol=1e-6)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_out_of_range_is_refused(smoothing: float) -> None:
    with pytest.raises(ValueError, match=str(smoothing)):
        smoothed_one_hot(torch.tensor([0]), 2, smoothing)


def test_varifocal_of_positives_and_negatives() -> None:
    p = 1 / (1 + math.exp(1.2))
    positive = varifocal_loss(torch.tensor(-1.2), torch.tensor(0.6), torch.tensor(1.0))
    assert positive.item() == pytest.approx(-0.6 * (0.6 * math.log(p) + 0.4 * math.log(1 - p)), rel=1e-5)
    negative = varifocal_loss(torch.tensor(-1.2), torch.tensor(0.6), torch.tensor(0.0), alpha=0.75, gamma=2.0)
    assert negative.item() == pytest.approx(-0.75 * p**2 * math.log(1 - p), rel=1e-5)


def test_varifocal_weight_carries_no_gradient() -> None:
    logits = torch.tensor([0.4, -0.3], requires_grad=True)
    varifocal_loss(logits, torch.zeros(2), torch.zeros(2), gamma=1.0).sum().backward()
    p = logits.detach().sigmoid()
    torch.testing.assert_close(logits.grad, 0.75 * p * p)
