#!/usr/bin/env python
"""Train or evaluate a model that a config describes.

Example: ``python tools/train_net.py --config-file X --num-gpus 2 SOLVER.BASE_LR 0.01 OUTPUT_DIR output/x``
"""

import argparse
import os
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultTrainer, default_argument_parser, default_setup, launch
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator, verify_results
from detectron2.projects import read_config
from detectron2.utils import comm

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
    cfg = read_config(args.config_file, args.opts or [])
    if cfg.TEST.AUG.ENABLED:
        raise ValueError("TEST.AUG.ENABLED: test-time augmentation is not available yet; set it to False")
    if args.eval_only and not cfg.DATASETS.TEST:
        raise ValueError("--eval-only, but DATASETS.TEST is empty: name what to evaluate on")
    cfg.freeze()
    default_setup(cfg, args)
    return cfg


def main(args: argparse.Namespace) -> dict[str, Any] | None:
    """One process: trains, or with ``eval_only`` evaluates. Returns the results of the (last) evaluation."""
    cfg = setup(args)
    if not args.eval_only:
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=args.resume)
        return trainer.train()
    model = Trainer.build_model(cfg)
    DetectionCheckpointer(model, save_dir=cfg.OUTPUT_DIR).resume_or_load(cfg.MODEL.WEIGHTS, resume=args.resume)
    results = Trainer.test(cfg, model)
    if comm.is_main_process():
        verify_results(cfg, results)
    return results


if __name__ == "__main__":
    arguments = default_argument_parser().parse_args()
    launch(
        main,
        arguments.num_gpus,
        num_machines=arguments.num_machines,
        machine_rank=arguments.machine_rank,
        dist_url=arguments.dist_url,
        args=(arguments,),
    )
