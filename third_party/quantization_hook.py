"""The trainer's hook of a quantized model."""

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine.model_state import unwrap
from detectron2.engine.rng import preserve_rng
from detectron2.engine.train_loop import HookBase
from detectron2.modeling import build_model
from detectron2.utils import comm

from .quantization.training import QuantTraining

if TYPE_CHECKING:
    from detectron2.config import CfgNode
    from detectron2.engine import DefaultTrainer

logger = logging.getLogger(__name__)

_CORRECTION_BATCHES = 10


class QuantizationHook(HookBase):
    """Runs the schedule, the stabilisers and the extra losses of ``MODEL.QUANTIZATION``.

    Args:
        trainer: with model and optimizer built.
    """

    def __init__(self, trainer: "DefaultTrainer") -> None:
        model = unwrap(trainer.model)
        config = model.quantization
        teacher = None
        if config.training.distillation.weight > 0:
            teacher = build_teacher(trainer.cfg, config.training.distillation.teacher or trainer.cfg.MODEL.WEIGHTS)
        self._batches: list[Any] = []
        self.training = QuantTraining(model, config, trainer.optimizer, teacher)
        self.training.check(trainer.cfg.SOLVER.MAX_ITER)
        trainer._trainer.extra_losses = self.training.extra_losses

    def before_train(self) -> None:
        if comm.is_main_process():
            described = ", ".join(f"{name} {value}" for name, value in self.training.resources().items())
            logger.info("Quantization: %s", described)

    def before_step(self) -> None:
        self.training.before_step(self.trainer.iter)

    def after_step(self) -> None:
        self.training.after_step(self.trainer.iter)
        if self.trainer.iter + 1 == self.trainer.max_iter:
            # What is saved and tested last is what the training was for.
            self.training.finish(self._correction_batches())

    def after_train(self) -> None:
        self.training.close()

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Averaged weights and steps for the time of an evaluation, where they are kept."""
        with self.training.evaluation(self._correction_batches()):
            yield

    def _correction_batches(self) -> list[Any] | None:
        """The same few batches at every evaluation, of a loader of its own: the training's position stays."""
        if not self.training.config.correction:
            return None
        if not self._batches:
            cfg = self.trainer.cfg.clone()
            cfg.defrost()
            cfg.DATALOADER.NUM_WORKERS = 0
            with preserve_rng():
                self._batches = list(itertools.islice(self.trainer.build_train_loader(cfg), _CORRECTION_BATCHES))
        return self._batches

    def state_dict(self) -> dict[str, Any]:
        return self.training.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        self.training.load_state_dict(state)


def build_teacher(cfg: "CfgNode", weights: str) -> nn.Module:
    """The float model of a config with the weights of a checkpoint, in evaluation mode and without gradients.

    Raises:
        ValueError: no checkpoint is named.
    """
    if not weights:
        raise ValueError(
            "MODEL.QUANTIZATION.TRAINING.DISTILLATION needs a teacher: name its checkpoint as TEACHER, or start from "
            "it (MODEL.WEIGHTS)"
        )
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.QUANTIZATION = type(cfg)(new_allowed=True)
    teacher = build_model(cfg)
    DetectionCheckpointer(teacher).load(weights)
    return teacher.eval().requires_grad_(False)
