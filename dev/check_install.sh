#!/usr/bin/env bash
# Install the package into a fresh virtual environment and use it from another folder: import, zoo configs in float and
# quantized, a training step and a prediction of each. Run by hand; it downloads PyTorch. Arguments: the Python
# interpreter (default python3).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${1:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$root"
mkdir "$work/elsewhere"
cd "$work/elsewhere"
env -u PYTHONPATH "$work/venv/bin/python" - "$root" << 'EOF'
import sys
from pathlib import Path

import torch

import detectron2
from detectron2 import model_zoo
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model
from detectron2.solver import build_optimizer
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

assert Path(sys.argv[1]) not in Path(detectron2.__file__).parents, "the checkout was imported, not the installation"
print(f"detectron2 {detectron2.__version__} on torch {torch.__version__}")
truth = Instances((120, 160), gt_boxes=Boxes(torch.tensor([[20.0, 20, 80, 90]])), gt_classes=torch.tensor([1]))
image = torch.randint(256, (3, 120, 160), dtype=torch.uint8)
for name in ("quick_start/faster_rcnn_R_18_FPN_shapes", "Quantization/quick_start/retinanet_R_18_half_bccd_W4A4"):
    cfg = model_zoo.get_config(f"{name}.yaml")
    cfg.MODEL.DEVICE, cfg.DATASETS.COCO_INSTANCES = "cpu", []
    model = build_model(cfg).train()
    assert ("Quantization" in name) == hasattr(model, "quantization")
    optimizer = build_optimizer(cfg, model)
    with EventStorage():
        losses = model([{"image": image, "instances": truth}] * 2)
    sum(losses.values()).backward()
    optimizer.step()
    torch.save({"model": model.state_dict()}, "weights.pth")
    cfg.MODEL.WEIGHTS = "weights.pth"
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = ()
    instances = DefaultPredictor(cfg)(image.permute(1, 2, 0).numpy())["instances"]
    print(f"{name}: losses { {k: round(v.item(), 3) for k, v in losses.items()} }, {len(instances)} instances predicted")
EOF
