#!/usr/bin/env python
"""Train or evaluate a YOLO detector that a config describes.

Example: ``python projects/YOLO/train_net.py --config-file X --num-gpus 2 SOLVER.BASE_LR 0.01 OUTPUT_DIR output/x``
"""

import argparse
from typing import Any

from detectron2.projects.yolo import add_yolo_config
from detectron2.projects.yolo.trainer import YOLOTrainer

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode, get_cfg
from detectron2.engine import default_argument_parser, default_setup, launch
from detectron2.evaluation import verify_results
from detectron2.utils import comm


def setup(args: argparse.Namespace) -> CfgNode:
    """The config of a command line, checked; logging, seeds and the output folder are ready afterwards.

    Raises:
        ValueError: there is nothing to evaluate on, or test-time augmentation is asked for.
    """
    cfg = get_cfg()
    add_yolo_config(cfg)
    if args.config_file:
        cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts or [])
    if cfg.TEST.AUG.ENABLED:
        raise ValueError("TEST.AUG.ENABLED: test-time augmentation is not available; set it to False")
    if args.eval_only and not cfg.DATASETS.TEST:
        raise ValueError("--eval-only, but DATASETS.TEST is empty: name what to evaluate on")
    cfg.freeze()
    default_setup(cfg, args)
    return cfg


def main(args: argparse.Namespace) -> dict[str, Any] | None:
    """One process: trains, or with ``eval_only`` evaluates. Returns the results of the (last) evaluation."""
    cfg = setup(args)
    if not args.eval_only:
        trainer = YOLOTrainer(cfg)
        trainer.resume_or_load(resume=args.resume)
        return trainer.train()
    model = YOLOTrainer.build_model(cfg)
    DetectionCheckpointer(model, save_dir=cfg.OUTPUT_DIR).resume_or_load(cfg.MODEL.WEIGHTS, resume=args.resume)
    results = YOLOTrainer.test(cfg, model)
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
