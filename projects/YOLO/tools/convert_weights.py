#!/usr/bin/env python
"""Convert trained weights of other packages to a checkpoint for ``MODEL.WEIGHTS``.

Example: ``python projects/YOLO/tools/convert_weights.py yolov8n.pt --family yolov8 --size n --output yolov8n.pth``

Reads state dicts, whole models (without building their classes or running code), ONNX files whose batch normalisation
is folded into the convolutions, TorchScript files, and Darknet's ``.weights`` (family darknet_yolov3).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from detectron2.projects.yolo.weights import convert_file  # noqa: E402


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("source", help="file of trained weights: .pt, .pth, .onnx or .weights")
    made.add_argument("--family", required=True, help="such as yolov8")
    made.add_argument("--size", required=True, help="such as n")
    made.add_argument("--output", required=True, help="file to write, .pth")
    made.add_argument("--num-classes", type=int, default=80, help="that the weights were trained for (default: 80)")
    made.add_argument(
        "--allow-torchscript", action="store_true", help="load TorchScript files; this runs the program in them"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; gives the exit status. Nothing is written unless every tensor fits."""
    args = parser().parse_args(arguments)
    try:
        state = convert_file(args.source, args.family, args.size, args.num_classes, args.allow_torchscript)
    except (OSError, KeyError, ValueError, ImportError) as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    unfinished = f"{args.output}.part"
    torch.save({"model": {f"network.{name}": tensor for name, tensor in state.items()}}, unfinished)
    os.replace(unfinished, args.output)
    print(f"{args.output}: {len(state)} tensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
