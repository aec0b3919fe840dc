#!/usr/bin/env python
"""Count flops, activations and parameters of a model, and print its structure.

Example: ``python tools/analyze_model.py --config-file X --tasks flop parameter --num-inputs 5``
"""

import argparse
import itertools

import torch

from detectron2.config import CfgNode
from detectron2.engine.preflight import register_configured_datasets
from detectron2.modeling import build_model
from detectron2.projects import read_config
from detectron2.utils.analysis import FlopCountAnalysis, activation_count_operators, parameter_count_table
from detectron2.utils.env import resolve_device
from detectron2.utils.logger import setup_logger


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True, metavar="FILE")
    parser.add_argument("--tasks", choices=list(TASKS), nargs="+", default=["flop", "parameter"])
    parser.add_argument("--num-inputs", type=int, default=1, help="pictures to average over")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="random pictures of this size in pixels")
    parser.add_argument("opts", nargs=argparse.REMAINDER, default=[], help="config overrides KEY VALUE ...")
    return parser.parse_args(argv)


def setup_cfg(args: argparse.Namespace) -> CfgNode:
    cfg = read_config(args.config_file, args.opts)
    register_configured_datasets(cfg)
    cfg.MODEL.DEVICE = resolve_device("auto")
    cfg.freeze()
    return cfg


def model_inputs(cfg: CfgNode, args: argparse.Namespace) -> list[list[dict]]:
    """One-picture batches: random of ``--size``, else from the test loader."""
    if args.size:
        height, width = args.size
        return [[{"image": torch.rand(3, height, width) * 255}] for _ in range(args.num_inputs)]
    from detectron2.data import build_detection_test_loader

    loader = build_detection_test_loader(cfg, cfg.DATASETS.TEST[0])
    return list(itertools.islice(loader, args.num_inputs))


def do_flop(cfg: CfgNode, args: argparse.Namespace) -> str:
    model = build_model(cfg).eval()
    totals, counts = [], {}
    for inputs in model_inputs(cfg, args):
        flops = FlopCountAnalysis(model, inputs)
        totals.append(flops.total() / 1e9)
        counts = flops.by_operator()
    average = sum(totals) / len(totals)
    rows = "\n".join(f"  {name}: {value / 1e9:.2f}" for name, value in counts.items())
    return f"GFlops: average {average:.2f} over {len(totals)} pictures; by operator of the last:\n{rows}"


def do_activation(cfg: CfgNode, args: argparse.Namespace) -> str:
    model = build_model(cfg).eval()
    totals = [sum(activation_count_operators(model, inputs).values()) for inputs in model_inputs(cfg, args)]
    return f"Million activations: average {sum(totals) / len(totals):.2f} over {len(totals)} pictures"


def do_parameter(cfg: CfgNode, args: argparse.Namespace) -> str:
    return "Parameters:\n" + parameter_count_table(build_model(cfg), max_depth=5)


def do_structure(cfg: CfgNode, args: argparse.Namespace) -> str:
    return f"Structure:\n{build_model(cfg)}"


TASKS = {"flop": do_flop, "activation": do_activation, "parameter": do_parameter, "structure": do_structure}


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    logger = setup_logger()
    cfg = setup_cfg(args)
    for task in args.tasks:
        logger.info(TASKS[task](cfg, args))


if __name__ == "__main__":
    main()
