"""Arguments that commands share, and what they stand for."""

import argparse
from typing import Any

from detectron2.config import CfgNode
from detectron2.projects import read_config

from ..quantization.ptq.recipe import PTQRecipe
from ..quantization.report import write_json
from .data import find_dataset
from .judge import Judge
from .options import read_recipe
from .output import check_file

_DATASET = "a registered name, or a COCO json file"


def add_model(parser: argparse.ArgumentParser, kind: str = "float or quantized") -> None:
    """The config and the weights; ``kind`` says of which detectors."""
    add = parser.add_argument
    add("--config-file", required=True, metavar="FILE", help="YAML config that the weights were trained with")
    add("--weights", required=True, metavar="FILE", help=f"checkpoint of a detector, {kind}")
    change = "change a key of the config; may be given several times"
    add("--cfg", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help=change)


def add_calibration(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The data set to calibrate on, and the recipe."""
    add = parser.add_argument
    needed = "" if required else "; weights that are quantized already need none"
    add("--calib", required=required, metavar="DATASET", help=f"to calibrate on: {_DATASET}{needed}")
    add("--calib-images", metavar="DIR", help="folder of the images of a --calib that is a file")
    add("--recipe", metavar="FILE", help="YAML file of a recipe, which says how to quantize; default: 8 bits")
    changes = "changes of the recipe, such as ACTIVATIONS.OBSERVER percentile IMAGES 128; docs/deploy.md has all keys"
    add("opts", nargs="*", metavar="KEY VALUE", help=changes)


def add_evaluation(parser: argparse.ArgumentParser, default: str = "the first of DATASETS.TEST") -> None:
    """The data set to evaluate on; ``default`` says what is taken without."""
    add = parser.add_argument
    add("--eval", metavar="DATASET", help=f"to evaluate on: {_DATASET}; default: {default}")
    add("--eval-images", metavar="DIR", help="folder of the images of an --eval that is a file")
    add("--max-eval-images", type=int, default=0, metavar="N", help="at most so many images, evenly spread; 0: all")


def add_out(parser: argparse.ArgumentParser) -> None:
    """The folder of the results."""
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results; made if it is missing")


def add_json(parser: argparse.ArgumentParser) -> None:
    """The file of the result; the step ``report`` puts several of them into one page."""
    parser.add_argument("--json", metavar="FILE", help="write the result, also for the step report")


def config_of(args: argparse.Namespace) -> CfgNode:
    """The config, frozen.

    Raises:
        FileNotFoundError: there is no such file.
        KeyError, ValueError: a key or a value that is not allowed.
    """
    cfg: CfgNode = read_config(args.config_file, [part for pair in args.cfg for part in pair])
    cfg.freeze()
    return cfg


def calibration_set(cfg: CfgNode, args: argparse.Namespace) -> str:
    """Name of the data set to calibrate on; empty without one.

    Raises:
        ValueError: images without it. Otherwise as :func:`~.data.find_dataset`.
    """
    _check_images(args.calib, args.calib_images, "--calib")
    return find_dataset(cfg, _given(args.calib, args.calib_images), "--calib") if args.calib else ""


def evaluation_set(cfg: CfgNode, args: argparse.Namespace) -> str:
    """Name of the data set to evaluate on.

    Raises:
        ValueError: none is given, and the config has none; or images without it. Otherwise as
            :func:`~.data.find_dataset`.
    """
    _check_images(args.eval, args.eval_images, "--eval")
    if args.eval:
        return find_dataset(cfg, _given(args.eval, args.eval_images), "--eval")
    if not cfg.DATASETS.TEST:
        raise ValueError("DATASETS.TEST of the config is empty: say --eval DATASET")
    return find_dataset(cfg, [cfg.DATASETS.TEST[0]], "DATASETS.TEST")


def judge_of(cfg: CfgNode, args: argparse.Namespace) -> Judge:
    """What rates models on the data set to evaluate on.

    Raises:
        ValueError: a negative number of images. Otherwise as :func:`evaluation_set`.
    """
    if args.max_eval_images < 0:
        raise ValueError(f"--max-eval-images must be 0 or more, got {args.max_eval_images}")
    return Judge(cfg, evaluation_set(cfg, args), args.max_eval_images)


def recipe_of(args: argparse.Namespace) -> PTQRecipe:
    """The recipe with its overrides; raises as :func:`~.options.read_recipe`."""
    return read_recipe(args.recipe, args.opts)


def check_json(args: argparse.Namespace) -> None:
    """Refuse a file for the result before any work is done.

    Raises:
        OSError: it cannot be written.
    """
    if args.json:
        check_file(args.json, "--json")


def write_result(args: argparse.Namespace, result: dict[str, Any]) -> None:
    """Write the result if a file for it was given.

    Raises:
        OSError: it cannot be written.
    """
    if args.json:
        write_json(result, args.json)


def _check_images(dataset: str | None, images: str | None, option: str) -> None:
    if images is not None and not dataset:
        raise ValueError(f"{option}-images {images}: give the COCO json file of these images by {option}")


def _given(dataset: str, images: str | None) -> list[str]:
    return [dataset] if images is None else [dataset, images]
