"""How branches of a head are split, weighted and scheduled."""

import pytest
import torch
from detectron2.projects.yolo.losses import Targets
from detectron2.projects.yolo.losses.detection import BranchesLoss, EndToEndDetectionLoss
from torch import Tensor, nn

from tests.projects.yolo.losses.cases import no_targets


class Sum(nn.Module):
    def forward(self, predictions: list[Tensor], targets: Targets) -> dict[str, Tensor]:
        return {"loss": torch.stack(predictions).sum()}


MAPS = [torch.tensor(float(value)) for value in (1, 2, 10, 20)]


def test_branches_by_name_and_by_order() -> None:
    loss = BranchesLoss({"main": Sum(), "aux": Sum()}, {"aux": 0.5, "main": 2})
    for predictions in (MAPS, {"aux": MAPS[2:], "main": MAPS[:2]}):
        losses = {name: value.item() for name, value in loss(predictions, no_targets()).items()}
        assert losses == {"loss_main": 6.0, "loss_aux": 15.0}


def test_one_to_one_comes_first_and_gains_weight() -> None:
    loss = EndToEndDetectionLoss(Sum(), Sum(), epochs=5, start=0.75, end=0.25)
    for epoch, many in ((0, 0.75), (2, 0.5), (4, 0.25), (9, 0.25)):
        loss.set_epoch(epoch)
        losses = loss(MAPS, no_targets())
        assert losses["loss_one_to_one"].item() == pytest.approx(3 * (1 - many))
        assert losses["loss_one_to_many"].item() == pytest.approx(30 * many)


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="weights are for"):
        BranchesLoss({"main": Sum()}, {"aux": 1})
    loss = BranchesLoss({"main": Sum(), "aux": Sum()}, {"main": 1, "aux": 1})
    with pytest.raises(ValueError, match="3 maps do not divide"):
        loss(MAPS[:3], no_targets())
    with pytest.raises(ValueError, match="predictions are of"):
        loss({"main": MAPS}, no_targets())
    for settings in ({"start": 1.5}, {"end": -1.0}, {"epochs": 0}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            EndToEndDetectionLoss(Sum(), Sum(), **({"epochs": 5} | settings))
    with pytest.raises(ValueError, match="epoch is -1"):
        EndToEndDetectionLoss(Sum(), Sum(), 5).set_epoch(-1)
