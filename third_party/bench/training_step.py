"""A training step (forward, backward, optimizer) of a W4A4 detector against the same detector in float.

ResNet-18 with FPN of 64 channels, images of 320 x 240, batch 8. "passes" quantizes the same model in six element-wise
passes instead of the fused operator. Models take turns; gradients and momenta are there from the warm-up on.
"""

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model
from detectron2.solver import build_optimizer
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from third_party.quantization.functional.rounding import round_ste, scale_gradient
from third_party.quantization.quantizers import affine

from .timing import Row, compare

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "quick_start"
BATCH, HEIGHT, WIDTH, OBJECTS = 8, 240, 320, 15


def rows(repeat: int) -> list[Row]:
    """RetinaNet and Faster R-CNN, fused and in passes, each against float."""
    found = []
    for kind in ("retinanet", "faster_rcnn"):
        plain = _step(_config(kind, quantized=False))
        fused = _step(_config(kind, quantized=True))
        found.append(compare(f"{kind} W4A4, fused", fused, "float", plain, repeat, warm_up=2))
        with mock.patch.object(affine, "fake_quantize", in_passes):
            slow = _step(_config(kind, quantized=True))
            found.append(compare(f"{kind} W4A4, passes", slow, "float", plain, repeat, warm_up=2))
    return found


def in_passes(
    x: torch.Tensor,
    step: torch.Tensor,
    zero_point: torch.Tensor,
    low: int,
    high: int,
    *,
    axis: int | None = None,
    half: bool = False,
    gradient_factor: float = 1.0,
    clip_gradient_only: bool = False,
) -> torch.Tensor:
    """Fake quantization in element-wise passes, for integer grids with zero-point 0."""
    step = scale_gradient(step, gradient_factor)
    if axis is not None:
        step = step.view([-1 if dim == axis else 1 for dim in range(x.dim())])
    return round_ste((x / step).clamp(low, high)) * step


def _config(kind: str, quantized: bool) -> CfgNode:
    cfg = get_cfg()
    cfg.merge_from_file(str(CONFIGS / f"{kind}_R_18_FPN_bccd.yaml"))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.QUANTIZATION.ENABLED = quantized
    cfg.MODEL.QUANTIZATION.WEIGHT.BITS = cfg.MODEL.QUANTIZATION.ACTIVATION.BITS = 4 if quantized else 8
    return cfg


def _step(cfg: CfgNode) -> Callable[[], None]:
    torch.manual_seed(0)
    model = build_model(cfg).train()
    optimizer = build_optimizer(cfg, model)
    batch = [_sample(seed) for seed in range(BATCH)]

    def step() -> None:
        torch.manual_seed(1)
        with EventStorage():
            losses = model(batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def _sample(seed: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(OBJECTS, 2, generator=generator) * torch.tensor([WIDTH - 60.0, HEIGHT - 60.0])
    sizes = 20 + 40 * torch.rand(OBJECTS, 2, generator=generator)
    instances = Instances((HEIGHT, WIDTH))
    instances.gt_boxes = Boxes(torch.cat([corners, corners + sizes], dim=1))
    instances.gt_classes = torch.randint(0, 3, (OBJECTS,), generator=generator)
    image = torch.randint(0, 256, (3, HEIGHT, WIDTH), generator=generator, dtype=torch.uint8)
    return {"image": image, "height": HEIGHT, "width": WIDTH, "instances": instances}
