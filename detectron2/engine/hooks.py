"""Hooks: the public path of what a training does around its steps."""

from fvcore.common.checkpoint import Checkpointer
from fvcore.common.param_scheduler import ParamScheduler
from fvcore.common.timer import Timer

from detectron2.evaluation.testing import flatten_results_dict
from detectron2.solver import LRMultiplier
from detectron2.utils.events import EventStorage, EventWriter
from detectron2.utils.file_io import PathManager
from detectron2.utils.fvcore_nn import get_bn_modules, update_bn_stats

from ._hooks.basic import CallbackHook, IterationTimer, LRScheduler, PeriodicWriter
from ._hooks.checkpointing import BestCheckpointer, PeriodicCheckpointer
from ._hooks.early_stopping import EarlyStoppingHook
from ._hooks.evaluating import EvalHook
from ._hooks.precise_bn import PreciseBN
from ._hooks.profiling import AutogradProfiler, TorchMemoryStats, TorchProfiler
from ._hooks.validation_loss import ValidationLossHook
from .train_loop import HookBase

_HOOKS = (
    AutogradProfiler,
    BestCheckpointer,
    CallbackHook,
    EarlyStoppingHook,
    EvalHook,
    IterationTimer,
    LRScheduler,
    PeriodicCheckpointer,
    PeriodicWriter,
    PreciseBN,
    TorchMemoryStats,
    TorchProfiler,
    ValidationLossHook,
)

__all__ = [
    "Checkpointer",
    "EventStorage",
    "EventWriter",
    "HookBase",
    "LRMultiplier",
    "ParamScheduler",
    "PathManager",
    "Timer",
    "flatten_results_dict",
    "get_bn_modules",
    "update_bn_stats",
    *(hook.__name__ for hook in _HOOKS),
]

for _hook in _HOOKS:
    # Checkpoints name a hook's state by its public path.
    _hook.__module__ = __name__
