import pytest
import torch
from torch.testing import assert_close

from detectron2.layers.focal_loss import class_focal_loss
from tests.facts import golden


def _one_hot_focal(logits: torch.Tensor, labels: torch.Tensor, alpha: float, gamma: float) -> torch.Tensor:
    """The definition (RetinaNet, equation 5), term by term, over rows that are not ignored."""
    rows = labels >= 0
    x, num_classes = logits[rows], logits.shape[-1]
    target = torch.nn.functional.one_hot(labels[rows], num_classes + 1)[:, :num_classes].to(x.dtype)
    p = x.sigmoid()
    p_true = torch.where(target == 1, p, 1 - p)
    weight = torch.where(target == 1, alpha, 1 - alpha) if alpha >= 0 else 1.0
    return -(weight * (1 - p_true) ** gamma * p_true.log()).sum()


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (-1.0, 2.0), (0.6, 0.0), (0.25, 1.5)])
def test_equals_the_definition_with_gradient(alpha, gamma):
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(40, 6, generator=generator, dtype=torch.float64) * 3).requires_grad_()
    labels = torch.randint(-1, 7, (40,), generator=generator)
    assert {-1, 0, 6} <= set(labels.tolist())
    loss, expected = class_focal_loss(logits, labels, alpha, gamma), _one_hot_focal(logits, labels, alpha, gamma)
    assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(3 * loss, logits)
    (expected_gradient,) = torch.autograd.grad(3 * expected, logits)
    assert_close(gradient, expected_gradient)
    assert (gradient[labels == -1] == 0).all()


def test_matches_golden_rows_with_one_class():
    data = golden("losses")
    logits, targets = (torch.from_numpy(data[key]) for key in ("logits", "targets"))
    logits = logits.reshape(-1, 1).requires_grad_()
    # with one class, a target of 0 is the background label 1
    loss = class_focal_loss(logits, (1 - targets.reshape(-1)).long(), 0.25, 2.0)
    assert_close(loss, torch.from_numpy(data["focal_sum"]), rtol=1e-5, atol=1e-5)
    loss.backward()
    expected = torch.from_numpy(data["focal_grad_sum"]).reshape(-1, 1)
    assert_close(logits.grad, expected, rtol=1e-5, atol=1e-5)


def test_extreme_logits_stay_finite():
    logits = torch.tensor([[-200.0, 200.0], [200.0, -200.0]], requires_grad=True)
    loss = class_focal_loss(logits, torch.tensor([0, 2]))
    loss.backward()
    assert_close(loss, torch.tensor(0.25 * 200 + 0.75 * 200 + 0.75 * 200))
    assert_close(logits.grad, torch.tensor([[-0.25, 0.75], [0.75, 0.0]]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_logits_are_summed_in_float32(dtype):
    logits = torch.full((4000, 20), 3.0, dtype=dtype, requires_grad=True)
    labels = torch.full((4000,), 20)
    loss = class_focal_loss(logits, labels)
    assert loss.dtype == torch.float32
    assert_close(loss, class_focal_loss(logits.detach().float(), labels))
    loss.backward()
    assert logits.grad.dtype == dtype


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)])
def test_empty(shape):
    logits = torch.zeros(shape, requires_grad=True)
    loss = class_focal_loss(logits, torch.zeros(shape[0], dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.shape == shape


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"labels of shape \(3,\)"):
        class_focal_loss(torch.zeros(4, 5), torch.zeros(3, dtype=torch.int64))
