"""The hooks that a config asks for, in the order in which they have to be called."""

import weakref
from typing import TYPE_CHECKING

from detectron2.utils import comm
from detectron2.utils.fvcore_nn import get_bn_modules

from . import hooks
from .model_state import unwrap
from .train_loop import HookBase
from .validation import build_validation_loader

if TYPE_CHECKING:
    from .default_trainer import DefaultTrainer


def build_default_hooks(trainer: "DefaultTrainer") -> list[HookBase | None]:
    """Timing, schedule, batch-norm statistics, saving and testing, writing.

    Args:
        trainer: built but for its hooks.
    """
    cfg = trainer.cfg
    hook_list = [hooks.IterationTimer(), hooks.LRScheduler(), _precise_bn(trainer), _quantization(trainer)]
    hook_list += _saving_and_testing(trainer)
    if cfg.TEST.VAL_LOSS.ENABLED:
        hook_list.append(
            hooks.ValidationLossHook(
                cfg.TEST.EVAL_PERIOD, lambda: build_validation_loader(cfg), trainer.model, cfg.TEST.VAL_LOSS.MAX_ITER
            )
        )
    if comm.is_main_process():
        # Last, so that what the others have measured gets written.
        hook_list.append(hooks.PeriodicWriter(trainer.build_writers(), period=cfg.SOLVER.PRINT_PERIOD))
    return hook_list


def _quantization(trainer: "DefaultTrainer") -> HookBase | None:
    """Schedule, stabilisers and losses of a quantized model; before saving, as they change what is saved."""
    if getattr(unwrap(trainer.model), "quantization", None) is None:
        return None
    from third_party.quantization_hook import QuantizationHook

    return QuantizationHook(trainer)


def _saving_and_testing(trainer: "DefaultTrainer") -> list[HookBase]:
    cfg = trainer.cfg
    # Without a period only the final checkpoint is written.
    period = cfg.SOLVER.CHECKPOINT_PERIOD if cfg.SOLVER.CHECKPOINT_PERIOD > 0 else cfg.SOLVER.MAX_ITER
    saving = [hooks.PeriodicCheckpointer(trainer.checkpointer, period)] if comm.is_main_process() else []
    testing = hooks.EvalHook(cfg.TEST.EVAL_PERIOD, trainer._test_and_keep_results)
    early = cfg.TEST.EARLY_STOPPING
    if not early.ENABLED:
        # The checkpoint comes first, so that it is there should the evaluation fail.
        return [*saving, testing]
    stopping = hooks.EarlyStoppingHook(
        early.METRIC, early.MODE, early.PATIENCE, early.MIN_DELTA, period=cfg.TEST.EVAL_PERIOD
    )
    # What was decided at an iteration belongs into its checkpoint, which may be the final one.
    return [testing, stopping, *saving]


def _precise_bn(trainer: "DefaultTrainer") -> HookBase | None:
    cfg = trainer.cfg
    if not cfg.TEST.PRECISE_BN.ENABLED or not get_bn_modules(trainer.model):
        return None
    loader_cfg = cfg.clone()
    loader_cfg.defrost()
    # Another set of workers would double the memory, for a loader that is rarely used.
    loader_cfg.DATALOADER.NUM_WORKERS = 0
    loader = trainer.build_train_loader(loader_cfg)
    return hooks.PreciseBN(cfg.TEST.EVAL_PERIOD, trainer.model, loader, cfg.TEST.PRECISE_BN.NUM_ITER)


class ForwardAfterBackward(HookBase):
    """Tells the hooks of one trainer that another trainer, which does its steps, has its gradients.

    Args:
        owner: the trainer with the hooks.
    """

    def __init__(self, owner: "DefaultTrainer") -> None:
        self._owner = weakref.proxy(owner)

    def after_backward(self) -> None:
        self._owner.after_backward()
