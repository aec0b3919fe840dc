"""What the training commands share: from a command line to a checked config, and to training or evaluation."""

import argparse
from collections.abc import Callable
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.evaluation import verify_results
from detectron2.projects import read_config
from detectron2.utils import comm

from .default_trainer import DefaultTrainer
from .launch import launch
from .setup import default_argument_parser, default_setup

__all__ = ["launch_command", "setup_command", "train_or_evaluate"]


def launch_command(main: Callable[[argparse.Namespace], Any]) -> None:
    """Read the command line and run ``main(arguments)`` in as many processes as it asks for.

    Args:
        main: must be picklable, as processes are spawned.
    """
    arguments = default_argument_parser().parse_args()
    launch(
        main,
        arguments.num_gpus,
        num_machines=arguments.num_machines,
        machine_rank=arguments.machine_rank,
        dist_url=arguments.dist_url,
        args=(arguments,),
    )


def setup_command(args: argparse.Namespace) -> CfgNode:
    """The config of a command line, checked and frozen; logging, seeds and the output folder are ready afterwards.

    Args:
        args: as :func:`default_argument_parser` gives them.

    Raises:
        KeyError: a key that does not exist, with the nearest ones, or an unknown data set.
        ValueError: there is nothing to evaluate on, test-time augmentation is asked for, or a value is not allowed.
    """
    cfg = read_config(args.config_file, args.opts or [])
    if cfg.TEST.AUG.ENABLED:
        raise ValueError("TEST.AUG.ENABLED: test-time augmentation is not available yet; set it to False")
    if args.eval_only and not cfg.DATASETS.TEST:
        raise ValueError("--eval-only, but DATASETS.TEST is empty: name what to evaluate on")
    cfg.freeze()
    default_setup(cfg, args)
    return cfg


def train_or_evaluate(cfg: CfgNode, args: argparse.Namespace, trainer: type[DefaultTrainer]) -> dict[str, Any] | None:
    """One process: trains, or with ``args.eval_only`` evaluates. Returns the results of the (last) evaluation.

    Args:
        cfg: from :func:`setup_command`.
        args: the command line; ``eval_only`` and ``resume`` are read.
        trainer: class that builds model, loaders and evaluators.
    """
    if not args.eval_only:
        training = trainer(cfg)
        training.resume_or_load(resume=args.resume)
        return training.train()
    model = trainer.build_model(cfg)
    DetectionCheckpointer(model, save_dir=cfg.OUTPUT_DIR).resume_or_load(cfg.MODEL.WEIGHTS, resume=args.resume)
    results = trainer.test(cfg, model)
    if comm.is_main_process():
        verify_results(cfg, results)
    return results
