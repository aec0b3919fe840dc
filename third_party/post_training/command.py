"""The command that takes a trained detector to a quantized one that runs."""

import argparse
import logging
from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode

from ..quantization.export import RUNNERS
from .arguments import (
    add_calibration,
    add_evaluation,
    add_model,
    add_out,
    calibration_set,
    config_of,
    evaluation_set,
    recipe_of,
)
from .options import Request
from .running import run_command
from .tables import print_files_and_warnings
from .workflow import quantize_detector


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python tools/quantize.py",
        description="Quantize a trained detector, export it, run the files and compare them with it.",
        epilog="Each step by itself: python -m third_party.post_training --help",
    )
    add = made.add_argument
    add_model(made)
    add_calibration(made, required=False)
    add_evaluation(made)
    add("--no-eval", action="store_true", help="evaluate nothing")
    add_out(made)
    add("--max-drop", type=float, metavar="AP", help="search the cheapest model that loses at most so much AP (0-100)")
    add("--engines", metavar="A,B", help=f"that run the exported files: {', '.join(RUNNERS)}; default: all installed")
    add("--no-export", action="store_true", help="stop after the quantized checkpoint and its evaluation")
    add("--no-nms", action="store_true", help="files end with boxes and scores of all predictions, not with detections")
    add(
        "--sensitivity",
        action="store_true",
        help="rank the layers by their effect on the loss, even if little AP is lost",
    )
    add("--audit", action="store_true", help="look for what the calibration set lacks; evaluates many times")
    return made


def request_of(args: argparse.Namespace) -> tuple[CfgNode, Request]:
    """The config and the request that a command line stands for.

    Raises:
        KeyError, ValueError, OSError: a mistake in it.
    """
    cfg = config_of(args)
    return cfg, Request(
        weights=args.weights,
        out=args.out,
        calibration=calibration_set(cfg, args),
        evaluation="" if args.no_eval else evaluation_set(cfg, args),
        recipe=recipe_of(args),
        max_drop=args.max_drop,
        engines=None if args.engines is None else tuple(filter(None, args.engines.split(","))),
        export=not args.no_export,
        suppression=not args.no_nms,
        sensitivity=True if args.sensitivity else None,
        audit=args.audit,
        evaluation_images=args.max_eval_images,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 1 after a mistake, which is one line on the error stream."""
    return run_command(parser(), run, arguments)


def run(args: argparse.Namespace) -> None:
    """Do what a command line stands for; raises as :func:`request_of` and :func:`~.workflow.quantize_detector`."""
    report = quantize_detector(*request_of(args))
    logging.getLogger(__name__).info("Results in %s", args.out)
    print_summary(report)


def print_summary(report: dict[str, Any]) -> None:
    """The few figures that matter."""
    evaluation = report.get("evaluation")
    if evaluation:
        for name in ("float", "quantized"):
            if name in evaluation:
                print(f"AP {name:20} {_figure(evaluation[name]['bbox']['AP'])}")
        interval = evaluation.get("drop_interval")
        if interval and evaluation.get("drop") is not None:
            share = f"{interval['confidence']:.0%} of draws of the images"
            print(
                f"AP lost{'':16} {evaluation['drop']:.2f} ({interval['low']:.2f} to {interval['high']:.2f} in {share})"
            )
    for engine in report.get("export", {}).get("engines", ()):
        if "evaluation" in engine:
            print(f"AP {engine['engine']:20} {_figure(engine['evaluation']['quantized']['bbox']['AP'])}")
    print_files_and_warnings(report)


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"
