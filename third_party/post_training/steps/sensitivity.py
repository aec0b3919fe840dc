"""Rank the layers of a quantized detector by what their quantization does to the detection loss."""

import argparse

from ..arguments import add_evaluation, add_json, add_model, check_json, config_of, judge_of, write_result
from ..models import describe, load_quantized_detector
from ..workflow import detector_sensitivity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See the package."""
    add_model(parser, "quantized")
    add_evaluation(parser)
    parser.add_argument("--images", type=int, default=16, metavar="N", help="that the loss is measured on; default: 16")
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Print the table and its verdict.

    Raises:
        OSError, ValueError, KeyError: a wrong setting, or weights that do not fit or are in floating point.
    """
    check_json(args)
    if args.images < 1:
        raise ValueError(f"--images must be 1 or more, got {args.images}")
    cfg = config_of(args)
    judge = judge_of(cfg, args)
    model = load_quantized_detector(cfg, args.weights)
    table = detector_sensitivity(model, judge, args.images)
    print(table)
    write_result(args, {"model": describe(model, cfg, args.weights), "sensitivity": table.to_dict()})
