"""Distribution focal loss against published numbers and its own formula."""

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.losses.dfl import distribution_focal_loss, expected_distance

from tests.projects.yolo.facts import golden


def test_published_values() -> None:
    arrays = golden("dfl")
    logits = torch.from_numpy(arrays["pred_logits"]).view(10, 4, 16)
    loss = distribution_focal_loss(logits, torch.from_numpy(arrays["target"])).mean(dim=1, keepdim=True)
    np.testing.assert_allclose(loss, arrays["loss"], rtol=1e-5)


def test_published_expectation() -> None:
    arrays = golden("dfl")
    logits = torch.from_numpy(arrays["decode_in"]).view(2, 4, 16, 7).permute(0, 1, 3, 2)
    np.testing.assert_allclose(expected_distance(logits), arrays["decode_out"], rtol=1e-5)


def test_gradient_is_probability_minus_interpolated_target() -> None:
    logits = torch.randn(5, 8, dtype=torch.float64, generator=torch.manual_seed(0)).requires_grad_()
    target = torch.tensor([0.0, 2.25, 6.5, 3.0, 5.9], dtype=torch.float64)
    distribution_focal_loss(logits, target).sum().backward()
    wanted = np.zeros((5, 8))
    for row, value in enumerate(target.tolist()):
        wanted[row, int(value)] = 1 - value % 1
        wanted[row, int(value) + 1] = value % 1
    np.testing.assert_allclose(logits.grad.numpy(), logits.detach().softmax(1).numpy() - wanted, atol=1e-12)


@pytest.mark.parametrize("target, clamped", [(-3.0, 0.0), (7.0, 6.99), (100.0, 6.99)])
def test_targets_beyond_the_bins_are_clamped(target: float, clamped: float) -> None:
    logits = torch.linspace(-1, 2, 8)
    assert distribution_focal_loss(logits, torch.tensor(target)) == distribution_focal_loss(
        logits, torch.tensor(clamped)
    )


def test_expectation_of_a_certain_bin() -> None:
    logits = torch.full((16,), -50.0)
    logits[11] = 50.0
    assert expected_distance(logits).item() == pytest.approx(11.0)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="1 bins"):
        distribution_focal_loss(torch.zeros(3, 1), torch.zeros(3))
    with pytest.raises(ValueError, match="target has shape"):
        distribution_focal_loss(torch.zeros(3, 4), torch.zeros(3, 4))
