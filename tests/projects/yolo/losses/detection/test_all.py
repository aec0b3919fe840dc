"""What every detection loss must stand: no objects, one class, padding, half precision; and that it can be learned."""

import pytest
import torch
from detectron2.projects.yolo.losses import Targets
from torch import Tensor

from tests.projects.yolo.losses.cases import ALL, all_losses, no_targets, some_targets


def backward(losses: dict[str, Tensor], levels: list[Tensor]) -> float:
    total = sum(losses.values())
    total.backward()
    assert all(value.shape == () and value.isfinite() for value in losses.values())
    assert all(level.grad is not None and level.grad.isfinite().all() for level in levels)
    return float(total.detach())


@pytest.mark.parametrize("padded", [0, 3])
@pytest.mark.parametrize("name", ALL)
def test_no_objects_in_the_batch(name: str, padded: int) -> None:
    loss, levels = all_losses(4)[name]
    losses = loss(levels, no_targets(padded))
    assert backward(losses, levels) > 0
    boxes = [value for key, value in losses.items() if "box" in key or "iou" in key or "dfl" in key]
    assert boxes and all(value == 0 and value.requires_grad for value in boxes)


@pytest.mark.parametrize("name", ALL)
def test_one_class(name: str) -> None:
    loss, levels = all_losses(1)[name]
    losses = loss(levels, some_targets(1))
    backward(losses, levels)
    assert all(value > 0 for value in losses.values())


@pytest.mark.parametrize("name", ALL)
def test_padding_and_order_of_objects_do_not_matter(name: str) -> None:
    loss, levels = all_losses(4)[name]
    targets = some_targets()
    order = torch.tensor([3, 1, 0, 2])
    longer = Targets(*(torch.cat((each[:, order], torch.zeros_like(each)), dim=1) for each in vars(targets).values()))
    first, second = loss(levels, targets), loss(levels, longer)
    for key, value in first.items():
        # Where one cell of an anchor has two objects, the last in order gives its objectness.
        torch.testing.assert_close(value, second[key], rtol=0.02 if name == "v5" and "obj" in key else 1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_half_precision_predictions(name: str) -> None:
    loss, levels = all_losses(4)[name]
    halves = [level.detach().half().requires_grad_() for level in levels]
    losses = loss(halves, some_targets())
    backward(losses, halves)
    assert all(value.dtype == torch.float32 for value in losses.values())


@pytest.mark.parametrize("name", ALL)
def test_degenerate_objects(name: str) -> None:
    loss, levels = all_losses(4)[name]
    boxes = torch.tensor([[[20.0, 20.0, 20.0, 40.0]], [[30.0, 30.0, 30.0, 30.0]]])
    backward(loss(levels, Targets(torch.zeros(2, 1).long(), boxes, torch.ones(2, 1).bool())), levels)


@pytest.mark.parametrize("name", ALL)
def test_descent_lowers_the_loss(name: str) -> None:
    loss, levels = all_losses(4)[name]
    optimizer = torch.optim.Adam(levels, lr=0.4)
    values = []
    for _ in range(10):
        optimizer.zero_grad()
        total = sum(loss(levels, some_targets()).values())
        total.backward()
        optimizer.step()
        values.append(float(total.detach()))
    assert values[-1] < 0.5 * values[0]


@pytest.mark.parametrize("name", ALL)
def test_wrong_predictions_are_refused(name: str) -> None:
    loss, levels = all_losses(4)[name]
    with pytest.raises(ValueError):
        loss(levels[:-1], some_targets())
    with pytest.raises(ValueError, match="level 1 has"):
        loss([level[:, :-1] if index == 1 else level for index, level in enumerate(levels)], some_targets())
