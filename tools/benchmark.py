#!/usr/bin/env python
"""Measure the speed of the data loader, training or inference of a config.

Example: ``python tools/benchmark.py --config-file X --task train SOLVER.IMS_PER_BATCH 8``
"""

import argparse
import itertools
import logging
import statistics
import time
from collections.abc import Callable, Iterable

import torch

from detectron2.config import CfgNode
from detectron2.data import DatasetFromList, build_detection_test_loader, build_detection_train_loader
from detectron2.engine import HookBase, SimpleTrainer, default_argument_parser
from detectron2.engine.preflight import check_config, register_configured_datasets
from detectron2.modeling import build_model
from detectron2.projects import read_config
from detectron2.solver import build_optimizer
from detectron2.utils.logger import setup_logger

logger = logging.getLogger("detectron2.benchmark")


def setup_cfg(args: argparse.Namespace) -> CfgNode:

    cfg = read_config(args.config_file, args.opts)
    register_configured_datasets(cfg)
    cfg = check_config(cfg)
    cfg.freeze()
    return cfg


def timed(step: Callable[[], object], iterations: int, warmup: int) -> list[float]:
    """Wall seconds of each of ``iterations`` calls after ``warmup`` calls."""
    seconds = []
    for index in range(warmup + iterations):
        start = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if index >= warmup:
            seconds.append(time.perf_counter() - start)
    return seconds


def report(what: str, seconds: list[float], images: int) -> None:
    ordered = sorted(seconds)
    median, p90 = statistics.median(ordered), ordered[int(0.9 * (len(ordered) - 1))]
    logger.info(
        f"{what}: median {median:.4f} s, p90 {p90:.4f} s an iteration of {images} images, "
        f"{images / median:.2f} images/s over {len(seconds)} iterations"
    )


def benchmark_data(cfg: CfgNode, args: argparse.Namespace) -> None:
    start = time.perf_counter()
    stream = iter(build_detection_train_loader(cfg))
    next(stream)
    logger.info(f"first batch after {time.perf_counter() - start:.2f} s")
    report("data", timed(lambda: next(stream), args.iterations, args.warmup), cfg.SOLVER.IMS_PER_BATCH)


def repeated(batches: Iterable) -> Iterable:
    """The batches over and over without loading them again."""
    return itertools.cycle(DatasetFromList(list(batches), copy=True))


class StepTimes(HookBase):
    """Wall seconds of every training step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def before_step(self) -> None:
        self._start = time.perf_counter()

    def after_step(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self._start)


def benchmark_train(cfg: CfgNode, args: argparse.Namespace) -> None:
    model = build_model(cfg).train()
    batches = repeated(itertools.islice(build_detection_train_loader(cfg), 10))
    trainer = SimpleTrainer(model, batches, build_optimizer(cfg, model))
    times = StepTimes()
    trainer.register_hooks([times])
    trainer.train(0, args.warmup + args.iterations)
    report("train", times.seconds[args.warmup :], cfg.SOLVER.IMS_PER_BATCH)


@torch.no_grad()
def benchmark_eval(cfg: CfgNode, args: argparse.Namespace) -> None:
    model = build_model(cfg).eval()
    batches = repeated(itertools.islice(build_detection_test_loader(cfg, cfg.DATASETS.TEST[0]), 10))
    stream = iter(batches)
    report("eval", timed(lambda: model(next(stream)), args.iterations, args.warmup), 1)


TASKS = {"data": benchmark_data, "train": benchmark_train, "eval": benchmark_eval}


def main(argv: list[str] | None = None) -> None:
    parser = default_argument_parser(epilog=__doc__)
    parser.add_argument("--task", choices=list(TASKS), required=True)
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--warmup", type=int, default=5)
    args = parser.parse_args(argv)
    setup_logger()
    TASKS[args.task](setup_cfg(args), args)


if __name__ == "__main__":
    main()
