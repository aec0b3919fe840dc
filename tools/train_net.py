#!/usr/bin/env python
"""Train or evaluate a model that a config describes.

Example: ``python tools/train_net.py --config-file X --num-gpus 2 SOLVER.BASE_LR 0.01 OUTPUT_DIR output/x``
"""

import argparse
import os
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultTrainer
from detectron2.engine.command import launch_command, setup_command, train_or_evaluate
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator

COCO_TASKS = ("coco",)


def build_evaluator(cfg: CfgNode, dataset_name: str, output_folder: str | None = None) -> DatasetEvaluator:
    """The evaluator for a data set's ``evaluator_type``.

    Args:
        cfg: the whole config.
        dataset_name: a registered data set.
        output_folder: for predictions and results; by default ``OUTPUT_DIR/inference``.

    Raises:
        NotImplementedError: there is no evaluator for the type.
    """
    evaluator_type = MetadataCatalog.get(dataset_name).get("evaluator_type")
    if evaluator_type not in COCO_TASKS:
        raise NotImplementedError(
            f"data set {dataset_name!r} has evaluator_type {evaluator_type!r}; known are {COCO_TASKS}"
        )
    return COCOEvaluator(dataset_name, output_dir=output_folder or os.path.join(cfg.OUTPUT_DIR, "inference"))


class Trainer(DefaultTrainer):
    """The default trainer with evaluators."""

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        return build_evaluator(cfg, dataset_name)


def setup(args: argparse.Namespace) -> CfgNode:
    """The config of a command line, checked; logging, seeds and the output folder are ready afterwards."""
    return setup_command(args)


def main(args: argparse.Namespace) -> dict[str, Any] | None:
    """One process: trains, or with ``eval_only`` evaluates. Returns the results of the (last) evaluation."""
    return train_or_evaluate(setup(args), args, Trainer)


if __name__ == "__main__":
    launch_command(main)
