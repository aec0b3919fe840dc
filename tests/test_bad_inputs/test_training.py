"""Trouble during a training, and predictors given no image."""

import numpy as np
import pytest

from detectron2.engine import DefaultPredictor, DefaultTrainer, HookBase
from tests.test_bad_inputs.material import contents


class _Spoil(HookBase):
    """Saves a checkpoint after the first iteration, then spoils something."""

    def __init__(self, spoil):
        self.spoil = spoil

    def after_step(self):
        if self.trainer.iter == 0:
            self.trainer.checkpointer.save("model_0000000", iteration=0)
            self.spoil(self.trainer)


def weights_to_nan(trainer):
    trainer.model.backbone.fpn_output3.weight.data.fill_(float("nan"))


def rate_to_infinity(trainer):
    for group in trainer.optimizer.param_groups:
        group["lr"] = float("inf")


@pytest.mark.parametrize("spoil", [weights_to_nan, rate_to_infinity])
def test_a_loss_that_is_not_finite(spoil, dataset, tmp_path):
    cfg = dataset.config(tmp_path / "out")
    cfg.SOLVER.MAX_ITER = 4
    trainer = DefaultTrainer(cfg)
    trainer.register_hooks([_Spoil(spoil)])
    with pytest.raises(FloatingPointError, match=r"(?s)iteration \d.*learning rate.*a\.png.*first non-finite module"):
        trainer.train()
    # the checkpoint of the last good iteration is the newest one
    files = contents(tmp_path / "out")
    assert files["last_checkpoint"] == b"model_0000000.pth" and "model_final.pth" not in files


def test_an_image_that_is_deleted_during_training(dataset, tmp_path):
    trainer = DefaultTrainer(dataset.config(tmp_path / "out"))
    trainer.register_hooks([_Spoil(lambda trainer: (dataset.images / "a.png").unlink())])
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        trainer.train()
    files = contents(tmp_path / "out")
    assert files["last_checkpoint"] == b"model_0000000.pth" and "model_0000000.pth" in files


IMAGES = {
    "a path": "a.png",
    "nothing": None,
    "grey": np.zeros((4, 5)),
    "alpha": np.zeros((4, 5, 4)),
    "channels first": np.zeros((3, 4, 5)),
    "no rows": np.zeros((0, 5, 3)),
}


@pytest.mark.parametrize("case", IMAGES)
def test_predictors_given_no_image(case, dataset, tmp_path):
    predictor = DefaultPredictor(dataset.config(tmp_path / "out"))
    with pytest.raises(ValueError, match=r"the image must be an array \[H, W, 3\] in BGR order, got"):
        predictor(IMAGES[case])
