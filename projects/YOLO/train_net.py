#!/usr/bin/env python
"""Train or evaluate a YOLO detector that a config describes.

Example: ``python projects/YOLO/train_net.py --config-file X --num-gpus 2 SOLVER.BASE_LR 0.01 OUTPUT_DIR output/x``
"""

import argparse
from typing import Any

from detectron2.projects.yolo.trainer import YOLOTrainer

from detectron2.engine.command import launch_command, setup_command, train_or_evaluate


def main(args: argparse.Namespace) -> dict[str, Any] | None:
    """One process: trains, or with ``eval_only`` evaluates. Returns the results of the (last) evaluation."""
    return train_or_evaluate(setup_command(args), args, YOLOTrainer)


if __name__ == "__main__":
    launch_command(main)
