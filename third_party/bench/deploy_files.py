r"""Files to measure latency on: a YOLO of about 7 million random parameters in float32, and in INT8 for each engine.

Usage::

    python -m third_party.bench.deploy_files --activation silu --out FOLDER
    python tools/benchmark_deploy.py --file float32=FOLDER/float32.onnx --file int8=FOLDER/int8_openvino.onnx \
        --engines openvino --float16 --size 640 640
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detectron2.modeling import build_model
from detectron2.projects import read_config
from third_party.quantization.ptq.recipe import PTQRecipe

from .peers.ours import NONLINEAR, quantized_copy, write_file

CONFIG = "projects/YOLO/configs/yolov5s.yaml"
FORMS = ("suppressed", "detector", "dense")
_IMAGES, _SIDE = 4, 320


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--activation", choices=("silu", "relu"), default="silu")
    result.add_argument("--form", choices=FORMS, default="suppressed", help="what the files end with")
    result.add_argument("--out", type=Path, required=True, help="folder of the files")
    return result


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    model = random_detector(options.activation)
    write_file(model, options.form, options.out / "float32.onnx", "generic")
    for engine, nonlinear in NONLINEAR.items():
        recipe = PTQRecipe.from_mapping({"ACTIVATIONS": {"NONLINEAR": nonlinear and options.activation != "relu"}})
        quantized = quantized_copy(model, recipe, [pictures(1) for _ in range(_IMAGES)])
        write_file(quantized, options.form, options.out / f"int8_{engine}.onnx", engine)
    for path in sorted(options.out.glob("*.onnx")):
        print(f"{path}  {path.stat().st_size / 2**20:.1f} MiB")


def random_detector(activation: str) -> nn.Module:
    """YOLOv5s with random weights, and statistics of batch norms that fit them."""
    torch.manual_seed(0)
    model = build_model(read_config(CONFIG, ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", ""]))
    for module in model.modules():
        if activation == "relu" and isinstance(getattr(module, "activation", None), nn.SiLU):
            module.activation = nn.ReLU()
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.3)
            module.momentum = None  # an average over what follows
    with torch.no_grad():
        model.train().network(torch.stack([sample["image"] for sample in pictures(_IMAGES)]) / 255)
    return model.eval()


def pictures(count: int) -> list[dict[str, Any]]:
    """Soft random patches of colour."""
    patches = torch.rand(count, 3, _SIDE // 16, _SIDE // 16) * 255
    smooth = nn.functional.interpolate(patches, (_SIDE, _SIDE), mode="bilinear")
    return [{"image": image, "height": _SIDE, "width": _SIDE} for image in smooth]


if __name__ == "__main__":
    main()
