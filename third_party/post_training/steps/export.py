"""Write a detector, float or quantized, as ONNX files, as a torch.export program, or compiled."""

import argparse
from typing import Any

from ...deploy import detector_parts, traced_form
from ...deploy.compiled import compile_form
from ...quantization.export import TARGETS
from ...quantization.transform import convert
from ..arguments import add_json, add_model, add_out, check_json, config_of, write_result
from ..exported_files import check_targets, described, write_program, write_targets
from ..models import describe, load_detector, quantization_of
from ..output import check_writable, whole_folder
from ..tables import print_files_and_warnings

FORMS = ("dense", "detector", "suppressed")
COMPILED = "model.aoti.pt2"
_FORM_HELP = (
    "what the files end with: raw predictions, boxes and scores of all predictions, or detections; default: suppressed"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See the package."""
    add_model(parser)
    add_out(parser)
    add = parser.add_argument
    targets = f"engines to write an ONNX file for: {', '.join(TARGETS)}; default: generic"
    add("--target", default="generic", metavar="A,B", help=targets)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--form", default="suppressed", choices=FORMS, help=_FORM_HELP)
    form.add_argument(
        "--no-nms", dest="form", action="store_const", const="detector", help="the same as --form detector"
    )
    add("--program", action="store_true", help="write a torch.export program (model.pt2), too")
    add("--compile", action="store_true", help=f"compile by AOTInductor ({COMPILED}), too; suppressed becomes detector")
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Write the files, all or none, and print what the linter says of them.

    Raises:
        OSError, ValueError, KeyError: a wrong setting, weights that do not fit, or errors that the linter found.
        ImportError: packages that write ONNX are missing.
        CompileError: the compiler does not take the detector, or makes something else of it.
    """
    check_json(args)
    check_writable(args.out)
    targets = tuple(filter(None, args.target.split(",")))
    check_targets(targets)
    cfg = config_of(args)
    model = load_detector(cfg, args.weights)
    facts: dict[str, Any] = {"model": describe(model, cfg, args.weights)}
    if quantization_of(model) is not None:
        facts["layers"] = convert(model).to_dict()
    parts = detector_parts(model)
    with whole_folder(args.out) as folder:
        program = traced_form(parts, args.form)
        facts["export"] = {"form": args.form, **write_targets(program, parts, args.form, folder, targets)}
        files = facts["export"]["files"]
        if args.program:
            files.append(write_program(program, folder))
        if args.compile:
            form = "detector" if args.form == "suppressed" else args.form
            apart = compile_form(parts, form, folder / COMPILED)
            print(f"compiled form {form}; it differs from the model by {apart:.2g} of an output's size")
            files.append(described(folder / COMPILED, "inductor"))
    print_files_and_warnings(facts)
    write_result(args, facts)
