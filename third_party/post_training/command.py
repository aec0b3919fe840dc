"""The command that takes a trained detector to a quantized one that runs."""

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Any

from detectron2.projects import read_config
from detectron2.utils.logger import setup_logger

from ..quantization.export import ParityError
from .data import find_dataset
from .options import Request, read_recipe
from .workflow import quantize_detector

_MISTAKES = (OSError, ValueError, KeyError, ImportError, FloatingPointError, ParityError)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        description="Quantize a trained detector, export it, run the files and compare.",
    )
    add = made.add_argument
    add("--config-file", required=True, metavar="FILE", help="that the weights were trained with")
    add("--weights", required=True, metavar="FILE", help="checkpoint of a float detector, or of a quantized one")
    add("--calib", metavar="DATASET", help="to calibrate on: a registered name, or a COCO json file")
    add("--calib-images", metavar="DIR", help="folder of the images of a --calib that is a file")
    add("--eval", metavar="DATASET", help="to evaluate on, as --calib; by default the first of DATASETS.TEST")
    add("--eval-images", metavar="DIR", help="folder of the images of an --eval that is a file")
    add("--no-eval", action="store_true", help="evaluate nothing")
    add("--max-eval-images", type=int, default=0, metavar="N", help="evaluate on at most so many images; 0: all")
    add("--out", required=True, metavar="DIR", help="folder of the results")
    add("--recipe", metavar="FILE", help="YAML file of a recipe")
    add("--max-drop", type=float, metavar="AP", help="search the cheapest model that loses at most so much AP")
    add("--engines", metavar="A,B", help="that run the exported files; by default all that are installed")
    add("--no-export", action="store_true", help="stop after the quantized checkpoint and its evaluation")
    add("--no-nms", action="store_true", help="exported files end with boxes and scores of all predictions")
    add("--sensitivity", action="store_true", help="measure each layer's effect, also where little AP is lost")
    add("--audit", action="store_true", help="look for what the calibration set lacks; evaluates many times")
    add("--cfg", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="override a key of the config")
    add("opts", nargs="*", metavar="KEY VALUE", help="overrides of the recipe, such as ACTIVATIONS.OBSERVER percentile")
    return made


def request_of(args: argparse.Namespace) -> tuple[Any, Request]:
    """The config and the request that a command line stands for.

    Raises:
        KeyError, ValueError, OSError: a mistake in it.
    """
    cfg = read_config(args.config_file, [part for pair in args.cfg for part in pair])
    calibration = find_dataset(cfg, _given(args.calib, args.calib_images), "--calib") if args.calib else ""
    evaluation = "" if args.no_eval else _evaluation_set(cfg, args)
    cfg.freeze()
    return cfg, Request(
        weights=args.weights,
        out=args.out,
        calibration=calibration,
        evaluation=evaluation,
        recipe=read_recipe(args.recipe, args.opts),
        max_drop=args.max_drop,
        engines=None if args.engines is None else tuple(filter(None, args.engines.split(","))),
        export=not args.no_export,
        suppression=not args.no_nms,
        sensitivity=True if args.sensitivity else None,
        audit=args.audit,
        evaluation_images=args.max_eval_images,
    )


def _given(dataset: str, images: str | None) -> list[str]:
    return [dataset] if images is None else [dataset, images]


def _evaluation_set(cfg: Any, args: argparse.Namespace) -> str:
    if args.eval:
        return find_dataset(cfg, _given(args.eval, args.eval_images), "--eval")
    if not cfg.DATASETS.TEST:
        raise ValueError("DATASETS.TEST of the config is empty: say --eval DATASET, or --no-eval")
    return find_dataset(cfg, [cfg.DATASETS.TEST[0]], "DATASETS.TEST")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 1 after a mistake, which is one line on the error stream."""
    args = parser().parse_intermixed_args(arguments)
    setup_logger(name="third_party")
    try:
        report = quantize_detector(*request_of(args))
    except _MISTAKES as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    logging.getLogger(__name__).info("Results in %s", args.out)
    print_summary(report)
    return 0


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
    for file in report.get("export", {}).get("files", ()):
        print(f"{file['file']:23} {file['bytes'] / 2**20:.2f} MiB")
    for warning in report["warnings"]:
        print(f"warning: {warning}")


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"
