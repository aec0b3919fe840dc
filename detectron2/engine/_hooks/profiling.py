"""Hooks that look at time and memory."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch

from detectron2.engine.trainer_base import HookBase, TrainerBase
from detectron2.utils.file_io import PathManager

logger = logging.getLogger("detectron2.engine.hooks")


class TorchProfiler(HookBase):
    """Profiles chosen iterations with ``torch.profiler``.

    Args:
        enable_predicate: takes the trainer, tells whether to profile the iteration that begins. For example
            ``lambda trainer: 10 < trainer.iter < 20``.
        output_dir: where the traces go.
        activities: as in ``torch.profiler.profile``; by default all that the machine offers.
        save_tensorboard: write a trace for TensorBoard's profiler under ``<output_dir>/log``, else a Chrome trace.
    """

    def __init__(
        self,
        enable_predicate: Callable[[TrainerBase], bool],
        output_dir: str,
        *,
        activities: Sequence[torch.profiler.ProfilerActivity] | None = None,
        save_tensorboard: bool = True,
    ) -> None:
        self._enable_predicate = enable_predicate
        self._output_dir = output_dir
        self._activities = activities
        self._save_tensorboard = save_tensorboard
        self._profiler: Any = None

    def before_step(self) -> None:
        if self._enable_predicate(self.trainer):
            self._profiler = self._new_profiler()
            self._profiler.__enter__()

    def after_step(self) -> None:
        if self._profiler is None:
            return
        self._profiler.__exit__(None, None, None)
        if not self._save_tensorboard:
            PathManager.mkdirs(self._output_dir)
            path = os.path.join(self._output_dir, f"profiler-trace-iter{self.trainer.iter}.json")
            self._profiler.export_chrome_trace(path)
            logger.info("Profiled iteration %d: %s", self.trainer.iter, path)
        self._profiler = None

    def _new_profiler(self) -> Any:
        on_ready = None
        if self._save_tensorboard:
            folder = os.path.join(self._output_dir, "log", f"profiler-tensorboard-iter{self.trainer.iter}")
            on_ready = torch.profiler.tensorboard_trace_handler(folder, worker_name=f"iter{self.trainer.iter}")
        return torch.profiler.profile(
            activities=self._activities,
            on_trace_ready=on_ready,
            record_shapes=True,
            profile_memory=True,
            with_stack=True,
            with_flops=True,
        )


class AutogradProfiler(TorchProfiler):
    """Profiles chosen iterations with ``torch.autograd.profiler`` and writes Chrome traces.

    Args:
        enable_predicate, output_dir: as in :class:`TorchProfiler`.
        use_cuda: also time GPU kernels.
    """

    def __init__(
        self, enable_predicate: Callable[[TrainerBase], bool], output_dir: str, *, use_cuda: bool = True
    ) -> None:
        super().__init__(enable_predicate, output_dir, save_tensorboard=False)
        self._use_cuda = use_cuda and torch.cuda.is_available()

    def _new_profiler(self) -> Any:
        return torch.autograd.profiler.profile(use_device="cuda" if self._use_cuda else None)


class TorchMemoryStats(HookBase):
    """Logs what the GPU allocator holds, every so many iterations and a limited number of times.

    Args:
        period: iterations between two looks.
        max_runs: looks in all.
    """

    def __init__(self, period: int = 20, max_runs: int = 10) -> None:
        self._period = period
        self._max_runs = max_runs
        self._runs = 0

    def after_step(self) -> None:
        next_iter = self.trainer.iter + 1
        due = next_iter % self._period == 0 or next_iter == self.trainer.max_iter
        if self._runs >= self._max_runs or not due or not torch.cuda.is_available():
            return
        mebibyte = 1 << 20
        figures = {
            "reserved": torch.cuda.memory_reserved(),
            "reserved at most": torch.cuda.max_memory_reserved(),
            "allocated": torch.cuda.memory_allocated(),
            "allocated at most": torch.cuda.max_memory_allocated(),
        }
        text = ", ".join(f"{name} {value / mebibyte:.0f} MiB" for name, value in figures.items())
        logger.info("GPU memory after iteration %d: %s", self.trainer.iter, text)
        self._runs += 1
        torch.cuda.reset_peak_memory_stats()
