"""The default trainer with the recipe of the YOLO families."""

import os
import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer, HookBase, hooks
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator

from .data.build import build_yolo_train_loader
from .training.accumulation import with_accumulation
from .training.anchor_config import with_auto_anchors
from .training.ema import ModelEMA
from .training.ema_hook import EMACheckpointer, EMAHook
from .training.optimizer import build_yolo_optimizer
from .training.schedule import build_schedule

__all__ = ["YOLOTrainer"]


class YOLOTrainer(DefaultTrainer):
    """Mosaics, three parameter groups, a schedule with warm-up of the momentum, and averaged weights.

    What it does is in ``INPUT.YOLO`` and ``MODEL.YOLO.TRAINING``; data sets are evaluated as COCO does.

    Args:
        cfg: the whole config.
    """

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__(with_auto_anchors(cfg))

    @staticmethod
    def auto_scale_workers(cfg: CfgNode, num_workers: int) -> CfgNode:
        """The config for another number of processes, then the batches of a step for its batch size."""
        return with_accumulation(DefaultTrainer.auto_scale_workers(cfg, num_workers))

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Iterable[Any]:
        """Batches of mosaics, see :func:`build_yolo_train_loader`."""
        return build_yolo_train_loader(cfg)

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer, see :func:`build_yolo_optimizer`."""
        return build_yolo_optimizer(cfg, model)

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: torch.optim.Optimizer) -> LRScheduler:
        """The schedule, see :func:`build_schedule`."""
        return build_schedule(cfg, optimizer)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """AP as COCO defines it, with results in ``OUTPUT_DIR/inference``."""
        return COCOEvaluator(dataset_name, output_dir=os.path.join(cfg.OUTPUT_DIR, "inference"))

    def build_hooks(self) -> list[HookBase | None]:
        """The default hooks and, before those that save and test, the one that averages the weights."""
        node = self.cfg.MODEL.YOLO.TRAINING.EMA
        if not node.ENABLED:
            return super().build_hooks()
        ema = ModelEMA.from_node(node, self.model)
        self.checkpointer = EMACheckpointer(self.model, self.cfg.OUTPUT_DIR, ema=ema, trainer=weakref.proxy(self))
        found = super().build_hooks()
        saving = (hooks.PeriodicCheckpointer, hooks.EvalHook)
        place = next(index for index, hook in enumerate(found) if isinstance(hook, saving))
        return [*found[:place], EMAHook(ema), *found[place:]]
