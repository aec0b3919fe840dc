#!/usr/bin/env python
"""Training as a plain loop, to copy and change. ``tools/train_net.py`` has more: hooks, mixed precision, exact resume.

Example: ``python tools/plain_train_net.py --config-file X SOLVER.BASE_LR 0.01``
"""

import argparse
import logging
import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from detectron2.checkpoint import DetectionCheckpointer, PeriodicCheckpointer
from detectron2.config import CfgNode
from detectron2.data import build_detection_test_loader, build_detection_train_loader
from detectron2.engine import create_ddp_model, default_setup, default_writers
from detectron2.engine.command import launch_command
from detectron2.evaluation import COCOEvaluator, inference_on_dataset, print_csv_format
from detectron2.modeling import build_model
from detectron2.projects import read_config
from detectron2.solver import build_lr_scheduler, build_optimizer
from detectron2.utils import comm
from detectron2.utils.events import EventStorage

logger = logging.getLogger("detectron2.plain_train_net")

WRITE_PERIOD = 20


def evaluate(cfg: CfgNode, model: nn.Module) -> dict[str, Any]:
    """Results by data set; the model is left in the mode it was in."""
    results = {}
    for name in cfg.DATASETS.TEST:
        evaluator = COCOEvaluator(name, output_dir=os.path.join(cfg.OUTPUT_DIR, "inference"))
        results[name] = inference_on_dataset(model, build_detection_test_loader(cfg, name), evaluator)
        if comm.is_main_process():
            print_csv_format(results[name])
    return results


def train(cfg: CfgNode, model: nn.Module, loader: Iterable[Any], resume: bool = False) -> None:
    """All iterations, with checkpoints and, if wanted, evaluation on the way."""
    model.train()
    optimizer = build_optimizer(cfg, model)
    scheduler = build_lr_scheduler(cfg, optimizer)
    checkpointer = DetectionCheckpointer(model, cfg.OUTPUT_DIR, optimizer=optimizer, scheduler=scheduler)
    start_iter = checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=resume).get("iteration", -1) + 1
    max_iter = cfg.SOLVER.MAX_ITER
    saver = PeriodicCheckpointer(checkpointer, cfg.SOLVER.CHECKPOINT_PERIOD, max_iter=max_iter)
    writers = default_writers(cfg.OUTPUT_DIR, max_iter) if comm.is_main_process() else []

    logger.info("Starting training from iteration %d", start_iter)
    with EventStorage(start_iter) as storage:
        for iteration, data in zip(range(start_iter, max_iter), loader, strict=False):
            storage.iter = iteration
            losses = model(data)
            total = sum(losses.values())
            if not torch.isfinite(total):
                raise FloatingPointError(f"The loss is not finite at iteration {iteration}: {losses}")
            optimizer.zero_grad()
            total.backward()
            optimizer.step()

            reduced = {name: value.item() for name, value in comm.reduce_dict(losses).items()}
            if comm.is_main_process():
                storage.put_scalars(total_loss=sum(reduced.values()), **reduced)
            storage.put_scalar("lr", optimizer.param_groups[0]["lr"], smoothing_hint=False)
            scheduler.step()

            last = iteration + 1 == max_iter
            if not last and cfg.TEST.EVAL_PERIOD > 0 and (iteration + 1) % cfg.TEST.EVAL_PERIOD == 0:
                evaluate(cfg, model)
                comm.synchronize()
            if last or (iteration + 1) % WRITE_PERIOD == 0:
                for writer in writers:
                    writer.write()
            saver.step(iteration)
    for writer in writers:
        writer.close()


def main(args: argparse.Namespace) -> dict[str, Any]:
    """One process: trains unless ``eval_only``, then evaluates."""
    cfg = read_config(args.config_file, args.opts or [])
    cfg.freeze()
    default_setup(cfg, args)
    model = build_model(cfg)
    logger.info("Model:\n%s", model)
    if args.eval_only:
        DetectionCheckpointer(model, save_dir=cfg.OUTPUT_DIR).resume_or_load(cfg.MODEL.WEIGHTS, resume=args.resume)
    else:
        train(cfg, create_ddp_model(model, broadcast_buffers=False), build_detection_train_loader(cfg), args.resume)
    return evaluate(cfg, model)


if __name__ == "__main__":
    launch_command(main)
