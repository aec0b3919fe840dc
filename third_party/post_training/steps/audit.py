"""Look for what a calibration set lacks: balance, number, parts and corruptions of its images."""

import argparse

from ..arguments import (
    add_calibration,
    add_evaluation,
    add_json,
    add_model,
    calibration_set,
    check_json,
    config_of,
    judge_of,
    recipe_of,
    write_result,
)
from ..audit import audit_calibration
from ..calibration import calibration_batches
from ..models import describe, load_float_detector
from ..tables import audit_tables, print_files_and_warnings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See the package."""
    add_model(parser, "in floating point")
    add_calibration(parser)
    add_evaluation(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Print what was found; a calibration or an evaluation for each point, so few images are wanted.

    Raises:
        OSError, ValueError, KeyError: a wrong setting, weights that do not fit, or a data set of no use.
        FloatingPointError: NaN in the activations.
    """
    check_json(args)
    cfg, recipe = config_of(args), recipe_of(args)
    batches = calibration_batches(cfg, calibration_set(cfg, args), recipe.images)
    judge = judge_of(cfg, args)
    model = load_float_detector(cfg, args.weights)
    found = audit_calibration(model, recipe, batches, judge)
    print(audit_tables(found))
    facts = {"model": describe(model, cfg, args.weights), "audit": found, "warnings": found["warnings"]}
    print_files_and_warnings(facts)
    write_result(args, facts)
