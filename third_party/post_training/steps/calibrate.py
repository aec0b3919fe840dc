"""Find integer ranges of a detector in floating point on the images of a data set."""

import argparse

from ...quantization.report import write_json
from ..arguments import add_calibration, add_model, add_out, calibration_set, config_of, recipe_of
from ..calibration import calibrate_detector, calibration_batches, calibration_facts, write_quantized
from ..models import describe, load_float_detector
from ..output import check_writable, whole_folder
from ..tables import print_files_and_warnings

FILE = "calibration.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See the package."""
    add_model(parser, "in floating point")
    add_calibration(parser)
    add_out(parser)


def run(args: argparse.Namespace) -> None:
    """Write ``quantized.pth``, ``config.yaml``, ``recipe.yaml`` and ``calibration.json``, all or none.

    Raises:
        OSError: the folder cannot be written, or a file cannot be read.
        ValueError, KeyError: a wrong setting, weights that do not fit or are quantized, or a data set of no use.
        FloatingPointError: NaN in the activations.
    """
    check_writable(args.out)
    cfg, recipe = config_of(args), recipe_of(args)
    batches = calibration_batches(cfg, calibration_set(cfg, args), recipe.images)
    model = load_float_detector(cfg, args.weights)
    found = {"model": describe(model, cfg, args.weights)}
    result = calibrate_detector(model, recipe, batches)
    found |= calibration_facts(batches, result) | {"warnings": result.warnings}
    with whole_folder(args.out) as folder:
        write_quantized(folder, cfg, model, result.recipe.to_mapping())
        write_json(found, folder / FILE)
    print(f"{len(result.ranges)} ranges from {len(batches.records)} images in {result.seconds:.1f} s: {args.out}")
    print_files_and_warnings(found)
