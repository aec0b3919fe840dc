"""The tiny golden models, built from their recorded configs, with their recorded weights, inputs and targets."""

from typing import Any

import torch
from torch import nn

from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from detectron2.modeling.backbone.fpn import FPN, LastLevelP6P7
from detectron2.modeling.backbone.resnet import BasicStem, BottleneckBlock, ResNet
from detectron2.modeling.meta_arch.fcos import FCOS, FCOSHead
from detectron2.structures import Boxes, Instances, PolygonMasks
from tests.facts import golden_model_io, golden_model_weights, golden_model_yaml

RCNN_MODELS = ("faster_rcnn_fpn_tiny", "mask_rcnn_fpn_tiny", "mask_rcnn_c4_tiny")
DENSE_MODELS = ("retinanet_tiny", "fcos_lazy_tiny")


def tiny_config(name: str) -> Any:
    """The config of a tiny model, whose every key is recorded."""
    cfg = get_cfg()
    cfg.merge_from_other_cfg(cfg.load_cfg(golden_model_yaml(name)))
    return cfg


def tiny_model(name: str) -> nn.Module:
    """A tiny model in evaluation mode with its recorded weights."""
    model = build_fcos(16, 32, 32, 2, 5, "") if name == "fcos_lazy_tiny" else build_model(tiny_config(name))
    weights = {key: torch.from_numpy(value) for key, value in golden_model_weights(name).items()}
    missing = model.load_state_dict(weights, strict=False)
    # constants of frozen norms are left out of the record
    assert not missing.unexpected_keys
    assert all("norm" in key for key in missing.missing_keys)
    return model.eval()


def eval_inputs(name: str) -> list[dict[str, Any]]:
    """The two images of the recorded evaluation batch; the first one's results were asked for at 120 x 160."""
    io = golden_model_io(name)
    first, second = (torch.from_numpy(io[key]) for key in ("image", "image2_bgr_flip_80x112"))
    return [{"image": first, "height": 120, "width": 160}, {"image": second}]


def training_inputs(name: str) -> list[dict[str, Any]]:
    """The one image of the recorded training step, with its ground truth."""
    io = golden_model_io(name)
    image = torch.from_numpy(io["image"])
    instances = Instances(tuple(image.shape[1:]))
    instances.gt_boxes = Boxes(torch.from_numpy(io["gt_boxes"]))
    instances.gt_classes = torch.from_numpy(io["gt_classes"])
    instances.gt_masks = PolygonMasks([[polygon] for polygon in io["gt_polygons"]])
    return [{"image": image, "instances": instances}]


def build_fcos(width: int, res2: int, fpn_channels: int, num_convs: int, num_classes: int, norm: str) -> FCOS:
    """FCOS after the published LazyConfig, spelled out; there, stem and res2 have 64 and 256 channels."""
    blocks, strides = (3, 4, 6, 3), (1, 2, 2, 2)
    stages = []
    for i, (count, stride) in enumerate(zip(blocks, strides, strict=True)):
        scale = 2**i
        stages.append(
            ResNet.make_stage(
                BottleneckBlock,
                count,
                in_channels=width if i == 0 else res2 * scale // 2,
                out_channels=res2 * scale,
                bottleneck_channels=res2 * scale // 4,
                stride_per_block=[stride] + [1] * (count - 1),
                stride_in_1x1=True,
                norm="FrozenBN",
            )
        )
    in_features = ["res3", "res4", "res5"]
    bottom_up = ResNet(BasicStem(in_channels=3, out_channels=width, norm="FrozenBN"), stages, out_features=in_features)
    top_block = LastLevelP6P7(fpn_channels, fpn_channels, in_feature="p5")
    shapes = [ShapeSpec(channels=fpn_channels)] * 5
    return FCOS(
        backbone=FPN(bottom_up, in_features, fpn_channels, top_block=top_block),
        head=FCOSHead(input_shape=shapes, num_classes=num_classes, conv_dims=[fpn_channels] * num_convs, norm=norm),
        num_classes=num_classes,
        head_in_features=["p3", "p4", "p5", "p6", "p7"],
        pixel_mean=[103.53, 116.28, 123.675],
        pixel_std=[1.0, 1.0, 1.0],
        test_score_thresh=0.0,
        test_nms_thresh=0.6,
    )
