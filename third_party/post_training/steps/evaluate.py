"""Rate a detector, float or quantized, or a file that was exported of it."""

import argparse
from typing import Any

import torch

from ...deploy import ExportedDetector, detector_parts
from ...deploy.sessions import ENGINES, load_session
from ..arguments import add_evaluation, add_json, add_model, check_json, config_of, judge_of, write_result
from ..models import describe, load_detector, quantization_of
from ..tables import ap_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See the package."""
    add_model(parser)
    parser.add_argument("--file", metavar="FILE", help="rate this file, which was exported of the detector")
    parser.add_argument("--engine", metavar="NAME", help=f"that runs --file: {', '.join(ENGINES)}")
    add_evaluation(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Print a table of AP.

    Raises:
        OSError, ValueError, KeyError: a wrong setting, weights or a file that do not fit.
        ImportError: the engine is not installed.
        FloatingPointError: what the file gives is not finite.
    """
    check_json(args)
    if (args.file is None) != (args.engine is None):
        raise ValueError("--file and --engine go together: the file, and what runs it")
    session = None if args.file is None else load_session(args.engine, args.file, threads=torch.get_num_threads())
    cfg = config_of(args)
    judge = judge_of(cfg, args)
    model = load_detector(cfg, args.weights)
    rated = judge.rate(model if session is None else ExportedDetector(session, detector_parts(model)))
    print(ap_table(rated))
    facts = {"dataset": judge.dataset, "images": len(judge.records)}
    found: dict[str, Any] = {"model": describe(model, cfg, args.weights)}
    if session is None:
        name = "float" if quantization_of(model) is None else "quantized"
        found["evaluation"] = facts | {name: rated.to_dict()}
    else:
        engine = {"engine": args.engine, "file": args.file, "evaluation": facts | {"quantized": rated.to_dict()}}
        found["export"] = {"engines": [engine]}
    write_result(args, found)
