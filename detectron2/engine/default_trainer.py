"""The trainer that builds everything from a config."""

import contextlib
import functools
import logging
import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import build_detection_test_loader, build_detection_train_loader
from detectron2.evaluation import DatasetEvaluator, inference_on_dataset, print_csv_format, verify_results
from detectron2.modeling import build_model
from detectron2.solver import build_lr_scheduler, build_optimizer
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from detectron2.utils.logger import setup_logger

from .auto_scale import auto_scale_workers
from .default_hooks import ForwardAfterBackward, build_default_hooks
from .model_state import unwrap
from .preflight import check_config, register_configured_datasets
from .resume_state import ResumeState
from .setup import create_ddp_model, default_writers, ensure_output_dir, save_config
from .train_loop import AMPTrainer, HookBase, SimpleTrainer, TrainerBase

logger = logging.getLogger(__name__)

_PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16}


class DefaultTrainer(TrainerBase):
    """Model, optimizer, data, schedule, checkpoints, evaluation and writers as the config says.

    Everything is built by a method of its own (``build_*``, ``test``), which a subclass may override.

    Args:
        cfg: the whole config.

    Attributes:
        scheduler: the learning-rate schedule.
        checkpointer: saves model and trainer to ``OUTPUT_DIR``.
        cfg: the config, scaled to the number of processes.

    Example::

        trainer = DefaultTrainer(cfg)
        trainer.resume_or_load(resume=True)  # MODEL.WEIGHTS, or the last checkpoint if there is one
        trainer.train()
    """

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__()
        if not logging.getLogger("detectron2").isEnabledFor(logging.INFO):
            setup_logger()  # a notebook that did not call default_setup
        register_configured_datasets(cfg)
        # Weights are looked for when they are loaded: only then it is known whether the run is resumed.
        check_config(cfg, resume=True)
        cfg = self.auto_scale_workers(cfg, comm.get_world_size())

        model = self.build_model(cfg)
        optimizer = self.build_optimizer(cfg, model)
        data_loader = self.build_train_loader(cfg)
        # Batch-norm statistics of each process are as good as those of the first: nothing to broadcast.
        model = create_ddp_model(model, broadcast_buffers=False)
        self._trainer = _build_step(cfg, model, data_loader, optimizer)
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        # The checkpointer belongs to the trainer: a strong reference back would keep both alive.
        self.checkpointer = DetectionCheckpointer(model, cfg.OUTPUT_DIR, trainer=weakref.proxy(self))
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.cfg = cfg
        self.register_hooks(self.build_hooks())

    def resume_or_load(self, resume: bool = True) -> None:
        """Goes on from the last checkpoint in ``OUTPUT_DIR`` if wanted and there, else loads ``MODEL.WEIGHTS``.

        A checkpoint brings back optimizer, schedule, hooks, random generators and the position in the data, so that
        the training goes on as if never stopped. ``MODEL.WEIGHTS`` brings weights only.

        Args:
            resume: look for a checkpoint.
        """
        found = self.checkpointer.has_checkpoint()
        if found and not resume:
            logger.warning(
                "OUTPUT_DIR %s holds the checkpoints of an earlier run, which this run will replace one by one. "
                "Use --resume to go on with it, or another OUTPUT_DIR to keep it",
                self.cfg.OUTPUT_DIR,
            )
        self.checkpointer.resume_or_load(self.cfg.MODEL.WEIGHTS, resume=resume)
        if resume and found:
            self.start_iter = self.iter + 1
        elif backbone := self.cfg.MODEL.get("QUANTIZATION", {}).get("BACKBONE_WEIGHTS"):
            from third_party.quantized_checkpoints import load_backbone

            load_backbone(unwrap(self.model), backbone)

    def build_hooks(self) -> list[HookBase | None]:
        """The hooks, in the order in which they are called, see :func:`.default_hooks.build_default_hooks`."""
        return build_default_hooks(self)

    def build_writers(self) -> list[EventWriter]:
        """Where metrics go: by default console, ``metrics.json`` and TensorBoard, see :func:`default_writers`."""
        return default_writers(self.cfg.OUTPUT_DIR, self.max_iter)

    def train(self) -> Any:
        """Trains to ``SOLVER.MAX_ITER``.

        Returns:
            Results of the last evaluation by task, None if there was none (as on all but the main process).
        """
        if comm.is_main_process():
            ensure_output_dir(self.cfg.OUTPUT_DIR)
            save_config(self.cfg, self.cfg.OUTPUT_DIR)
        super().train(self.start_iter, self.max_iter)
        results = getattr(self, "_last_eval_results", None)
        if self.cfg.TEST.EXPECTED_RESULTS and comm.is_main_process():
            if results is None:
                raise ValueError("TEST.EXPECTED_RESULTS is set, but the training ended without an evaluation")
            verify_results(self.cfg, results)
        return results

    def before_train(self) -> None:
        """Connects the trainer of the step, then calls the hooks."""
        if not self._trainer._hooks:
            # Hooks are registered here, the backward pass happens there.
            self._trainer.register_hooks([ForwardAfterBackward(self)])
        super().before_train()
        self._resume_state.start()

    @functools.cached_property
    def _resume_state(self) -> ResumeState:
        # Not made in __init__, which some subclasses replace without calling it.
        return ResumeState()

    def run_step(self) -> None:
        """One iteration, done by the ``SimpleTrainer`` or ``AMPTrainer`` inside."""
        self._trainer.iter = self.iter
        self._trainer.run_step()

    def after_step(self) -> None:
        """Calls the hooks. Where they will save, all processes first hand their states to the main one."""
        period = self.cfg.SOLVER.CHECKPOINT_PERIOD
        next_iter = self.iter + 1
        periodic = period > 0 and next_iter % period == 0
        if comm.get_world_size() > 1 and (periodic or next_iter == self.max_iter):
            self._resume_state.gather(self.iter, self.model, self.data_loader)
        super().after_step()

    def state_dict(self) -> dict[str, Any]:
        """Iteration, hooks, optimizer, and the state of each process (``ranks``): all a resumed run needs."""
        state = super().state_dict()
        state["_trainer"] = self._trainer.state_dict()
        state["ranks"] = self._resume_state.state_dict(self.iter, self.model, self.data_loader)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        super().load_state_dict(state_dict)
        self._trainer.load_state_dict(state_dict["_trainer"])
        self._resume_state.load(state_dict.get("ranks"), self.model, self.data_loader)

    def _test_and_keep_results(self) -> dict[str, Any]:
        with contextlib.ExitStack() as stack:
            for hook in self._hooks:
                if hasattr(hook, "evaluation"):  # averaged weights for the time of the test
                    stack.enter_context(hook.evaluation())
            self._last_eval_results = self.test(self.cfg, self.model)
        return self._last_eval_results

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """The model, on its device."""
        model = build_model(cfg)
        logger.info("Model:\n%s", model)
        return model

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer, see :func:`detectron2.solver.build_optimizer`."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: torch.optim.Optimizer) -> LRScheduler:
        """The schedule, see :func:`detectron2.solver.build_lr_scheduler`."""
        return build_lr_scheduler(cfg, optimizer)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Iterable[Any]:
        """An endless loader of training batches."""
        return build_detection_train_loader(cfg)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Iterable[Any]:
        """A loader that goes once over a data set."""
        return build_detection_test_loader(cfg, dataset_name)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """The evaluator of a data set; nothing is known about data sets here."""
        raise NotImplementedError(
            f"no evaluator for {dataset_name!r}: override {cls.__name__}.build_evaluator(cfg, dataset_name), for COCO "
            "data with `return COCOEvaluator(dataset_name, output_dir=cfg.OUTPUT_DIR)`, or give test() evaluators"
        )

    @classmethod
    def test(
        cls,
        cfg: CfgNode,
        model: nn.Module,
        evaluators: DatasetEvaluator | list[DatasetEvaluator] | None = None,
    ) -> dict[str, Any]:
        """Evaluates a model on all of ``DATASETS.TEST``.

        Args:
            cfg: the whole config.
            model: the model; its mode is afterwards as before.
            evaluators: one for each data set; by default those of :meth:`build_evaluator`. A data set without one is
                left out.

        Returns:
            Results by data set, or those of the only one. Empty on all but the main process.

        Raises:
            ValueError: another number of evaluators than of data sets.
        """
        names = (cfg.DATASETS.TEST,) if isinstance(cfg.DATASETS.TEST, str) else cfg.DATASETS.TEST
        if isinstance(evaluators, DatasetEvaluator):
            evaluators = [evaluators]
        if evaluators is not None and len(evaluators) != len(names):
            raise ValueError(f"{len(evaluators)} evaluators for {len(names)} data sets in DATASETS.TEST")
        results: dict[str, Any] = {}
        for index, name in enumerate(names):
            try:
                evaluator = cls.build_evaluator(cfg, name) if evaluators is None else evaluators[index]
            except NotImplementedError as error:
                logger.warning("%s is not evaluated: %s", name, error)
                results[name] = {}
                continue
            results[name] = inference_on_dataset(model, cls.build_test_loader(cfg, name), evaluator) or {}
            if comm.is_main_process() and results[name]:
                logger.info("Results on %s, for a spreadsheet:", name)
                print_csv_format(results[name])
        return next(iter(results.values())) if len(results) == 1 else results

    @staticmethod
    def auto_scale_workers(cfg: CfgNode, num_workers: int) -> CfgNode:
        """The config for another number of processes, see :func:`.auto_scale.auto_scale_workers`."""
        return auto_scale_workers(cfg, num_workers)

    @property
    def model(self) -> nn.Module:
        """The model, wrapped for data parallelism if there are several processes."""
        return self._trainer.model

    @model.setter
    def model(self, model: nn.Module) -> None:
        self._trainer.model = model

    @property
    def data_loader(self) -> Iterable[Any]:
        """The loader of training batches."""
        return self._trainer.data_loader

    @data_loader.setter
    def data_loader(self, data_loader: Iterable[Any]) -> None:
        self._trainer.data_loader = data_loader

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer."""
        return self._trainer.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        self._trainer.optimizer = optimizer


def _build_step(
    cfg: CfgNode, model: nn.Module, data_loader: Iterable[Any], optimizer: torch.optim.Optimizer
) -> SimpleTrainer:
    """The trainer of single steps, in the precision that ``SOLVER.AMP`` asks for."""
    accumulation_steps = cfg.SOLVER.ACCUMULATION_STEPS
    if not cfg.SOLVER.AMP.ENABLED:
        return SimpleTrainer(model, data_loader, optimizer, accumulation_steps=accumulation_steps)
    precision = _PRECISIONS[cfg.SOLVER.AMP.PRECISION]
    return AMPTrainer(model, data_loader, optimizer, precision=precision, accumulation_steps=accumulation_steps)
