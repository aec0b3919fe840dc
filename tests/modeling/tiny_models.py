"""The tiny golden models, built from their recorded configs, with their recorded weights, inputs and targets."""

from typing import Any

import torch
from torch import nn

from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
import detectron2.modeling.meta_arch.rcnn
from detectron2.modeling.meta_arch.build import build_model
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
    model = _tiny_fcos() if name == "fcos_lazy_tiny" else build_model(tiny_config(name))
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


def _tiny_fcos() -> FCOS:
    """FCOS after its recorded LazyConfig, spelled out."""
    widths = [(16, 32, 8, 3, 1), (32, 64, 16, 4, 2), (64, 128, 32, 6, 2), (128, 256, 64, 3, 2)]
    stages = [
        ResNet.make_stage(
            BottleneckBlock,
            blocks,
            in_channels=in_channels,
            out_channels=out_channels,
            bottleneck_channels=bottleneck,
            stride_per_block=[stride] + [1] * (blocks - 1),
            stride_in_1x1=True,
            norm="FrozenBN",
        )
        for in_channels, out_channels, bottleneck, blocks, stride in widths
    ]
    in_features = ["res3", "res4", "res5"]
    bottom_up = ResNet(BasicStem(in_channels=3, out_channels=16, norm="FrozenBN"), stages, out_features=in_features)
    backbone = FPN(bottom_up, in_features, 32, top_block=LastLevelP6P7(32, 32, in_feature="p5"))
    head = FCOSHead(input_shape=[ShapeSpec(channels=32)] * 5, num_classes=5, conv_dims=[32, 32])
    return FCOS(
        backbone=backbone,
        head=head,
        num_classes=5,
        head_in_features=["p3", "p4", "p5", "p6", "p7"],
        pixel_mean=[103.53, 116.28, 123.675],
        pixel_std=[1.0, 1.0, 1.0],
        test_score_thresh=0.0,
        test_nms_thresh=0.6,
    )
