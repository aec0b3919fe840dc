"""Averaged weights in a training: updated after each step, tested, and saved."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import HookBase

from .ema import ModelEMA

__all__ = ["EMACheckpointer", "EMAHook"]


class EMAHook(HookBase):
    """Updates an average after each iteration; evaluations of a ``DefaultTrainer`` use it.

    Register it before the hooks that test and save. Checkpoints of any checkpointer hold what a resumed training
    needs; those of an :class:`EMACheckpointer` hold the average as their model.

    Args:
        ema: of the trainer's model.
    """

    def __init__(self, ema: ModelEMA) -> None:
        self.ema = ema

    def before_train(self) -> None:
        if self.ema.updates == 0:
            # Weights may have been loaded since the average was made.
            self.ema.restart()

    def after_step(self) -> None:
        self.ema.update()

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """The average for the time of an evaluation."""
        with self.ema.applied():
            yield

    def state_dict(self) -> dict[str, Any]:
        return self.ema.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        self.ema.load_state_dict(state_dict)


class EMACheckpointer(DetectionCheckpointer):
    """Writes checkpoints whose model is the average, ready to be used as ``MODEL.WEIGHTS``.

    The weights under training stand in the state of the :class:`EMAHook`, which gives them back on resuming.

    Args:
        model: under training.
        save_dir: folder of the checkpoints.
        ema: of this model.
        **checkpointables: see :class:`DetectionCheckpointer`; the trainer with the hook has to be among them.
    """

    def __init__(self, model: nn.Module, save_dir: str = "", *, ema: ModelEMA, **checkpointables: Any) -> None:
        super().__init__(model, save_dir, **checkpointables)
        self._ema = ema

    def save(self, name: str, **kwargs: Any) -> None:
        """See :meth:`DetectionCheckpointer.save`."""
        with self._ema.applied():
            super().save(name, **kwargs)
