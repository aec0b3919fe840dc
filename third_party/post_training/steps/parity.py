"""Hold an ONNX file in an engine against the detector that it was exported of."""

import argparse
from pathlib import Path

from ...deploy import detector_parts, traced_form
from ...quantization.export import RUNNERS, ParityError, find_runner
from ...quantization.export import parity as compare_file
from ...quantization.transform import convert
from ..arguments import add_evaluation, add_json, add_model, check_json, config_of, judge_of, write_result
from ..comparing import comparison_inputs, form_of_file, parity_facts
from ..models import describe, load_detector, quantization_of
from ..tables import parity_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See the package."""
    add_model(parser)
    parser.add_argument("--file", required=True, metavar="FILE", help="ONNX file that was exported of the detector")
    parser.add_argument("--engine", required=True, metavar="NAME", help=f"that runs the file: {', '.join(RUNNERS)}")
    add_evaluation(parser, default="noise in the place of images")
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Print the differences; with the result, they are written also where they are too large.

    Raises:
        ParityError: the engine leaves the tolerance; it names the first tensor.
        OSError, ValueError, KeyError: a wrong setting, or weights or a file that do not fit.
        ImportError: the engine is not installed.
    """
    check_json(args)
    runner, path = find_runner(args.engine), Path(args.file)
    cfg = config_of(args)
    batches = judge_of(cfg, args).batches if args.eval else None
    model = load_detector(cfg, args.weights)
    facts = describe(model, cfg, args.weights)
    parts = detector_parts(model)
    form = form_of_file(parts, path)
    if quantization_of(model) is not None:
        convert(model)
    try:
        found = compare_file(traced_form(parts, form), path, runner, comparison_inputs(parts, batches, form))
    except ParityError as error:
        found = error.report
    print(parity_table(found))
    write_result(args, {"model": facts, "export": {"engines": [parity_facts(found, path)]}})
    if found.first_failure is not None:
        raise ParityError(found)
