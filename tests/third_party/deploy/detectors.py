"""Detectors that are small enough to be exported in seconds; random weights that give scores far from each other."""

from typing import Any

import torch
from detectron2.projects.yolo import YOLOHeads, YOLOPassThrough
from detectron2.projects.yolo.heads import AnchorFreeHead
from detectron2.projects.yolo.postprocessing import Postprocessing
from torch import Tensor, nn

from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.backbone import Backbone
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.meta_arch.fcos import FCOS, FCOSHead
from detectron2.modeling.meta_arch.rcnn import GeneralizedRCNN
from detectron2.modeling.meta_arch.retinanet import RetinaNet, RetinaNetHead
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator.rpn import RPN, StandardRPNHead
from detectron2.modeling.roi_heads.box_head import FastRCNNConvFCHead
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.modeling.roi_heads.mask_head import MaskRCNNConvUpsampleHead
from detectron2.modeling.roi_heads.standard_roi_heads import StandardROIHeads

PIXELS: dict[str, Any] = {"pixel_mean": [100.0, 110.0, 120.0], "pixel_std": [57.0, 58.0, 59.0]}
CLASSES = 3
WIDTH = 8


class TwoMaps(Backbone):
    """Maps "p3" and "p4" of strides 8 and 16."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, WIDTH, 3, 4, 1), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, 2, 1), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, 2, 1), nn.ReLU())

    @property
    def size_divisibility(self) -> int:
        return 16

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {"p3": ShapeSpec(channels=WIDTH, stride=8), "p4": ShapeSpec(channels=WIDTH, stride=16)}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        fine = self.stem(x)
        return {"p3": fine, "p4": self.down(fine)}


def _anchors() -> DefaultAnchorGenerator:
    return DefaultAnchorGenerator(sizes=[[24.0], [48.0]], aspect_ratios=[[0.5, 1.0]], strides=[8, 16])


def _shapes() -> list[ShapeSpec]:
    return list(TwoMaps().output_shape().values())


def retinanet() -> RetinaNet:
    head = RetinaNetHead(input_shape=_shapes(), num_classes=CLASSES, num_anchors=2, conv_dims=[WIDTH])
    return RetinaNet(
        backbone=TwoMaps(),
        head=head,
        head_in_features=["p3", "p4"],
        anchor_generator=_anchors(),
        box2box_transform=Box2BoxTransform((1.0, 1.0, 1.0, 1.0)),
        anchor_matcher=Matcher([0.4, 0.5], [0, -1, 1], allow_low_quality_matches=True),
        num_classes=CLASSES,
        test_topk_candidates=60,
        max_detections_per_image=12,
        **PIXELS,
    )


def fcos() -> FCOS:
    head = FCOSHead(input_shape=_shapes(), num_classes=CLASSES, conv_dims=[WIDTH], norm="")
    return FCOS(
        backbone=TwoMaps(),
        head=head,
        head_in_features=["p3", "p4"],
        num_classes=CLASSES,
        test_topk_candidates=60,
        max_detections_per_image=12,
        **PIXELS,
    )


def mask_rcnn() -> GeneralizedRCNN:
    scales, names = (1 / 8, 1 / 16), ["p3", "p4"]
    transform = Box2BoxTransform((1.0, 1.0, 1.0, 1.0))
    rpn = RPN(
        in_features=names,
        head=StandardRPNHead(in_channels=WIDTH, num_anchors=2),
        anchor_generator=_anchors(),
        anchor_matcher=Matcher([0.3, 0.7], [0, -1, 1]),
        box2box_transform=transform,
        batch_size_per_image=16,
        positive_fraction=0.5,
        pre_nms_topk=(40, 40),
        post_nms_topk=(20, 20),
    )
    pooling: dict[str, Any] = {"sampling_ratio": 0, "pooler_type": "ROIAlignV2", "canonical_box_size": 40}
    heads = StandardROIHeads(
        num_classes=CLASSES,
        batch_size_per_image=8,
        positive_fraction=0.25,
        proposal_matcher=Matcher([0.5], [0, 1]),
        box_in_features=names,
        box_pooler=ROIPooler(4, scales, **pooling),
        box_head=FastRCNNConvFCHead(ShapeSpec(channels=WIDTH, height=4, width=4), conv_dims=[], fc_dims=[16]),
        box_predictor=FastRCNNOutputLayers(
            ShapeSpec(channels=16),
            box2box_transform=transform,
            num_classes=CLASSES,
            test_score_thresh=0.05,
            test_topk_per_image=8,
        ),
        mask_in_features=names,
        mask_pooler=ROIPooler(6, scales, **pooling),
        mask_head=MaskRCNNConvUpsampleHead(
            ShapeSpec(channels=WIDTH, height=6, width=6), num_classes=CLASSES, conv_dims=[WIDTH]
        ),
    )
    return GeneralizedRCNN(backbone=TwoMaps(), proposal_generator=rpn, roi_heads=heads, **PIXELS)


def yolo_heads() -> GeneralizedRCNN:
    """A YOLO head in the place of heads on regions."""
    heads = YOLOHeads(
        in_features=("p3", "p4"),
        head=AnchorFreeHead([WIDTH, WIDTH], CLASSES, [8, 16], reg_max=4),
        criterion=nn.Identity(),
        postprocessing=Postprocessing(score_threshold=0.3, max_detections=12),
    )
    proposals = YOLOPassThrough(get_cfg(), TwoMaps().output_shape())
    return GeneralizedRCNN(backbone=TwoMaps(), proposal_generator=proposals, roi_heads=heads, **PIXELS)


BUILDERS = {"retinanet": retinanet, "fcos": fcos, "mask_rcnn": mask_rcnn, "yolo_heads": yolo_heads}


def detector(name: str) -> nn.Module:
    """One of ``BUILDERS`` in evaluation mode."""
    torch.manual_seed(0)
    model = BUILDERS[name]()
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 4
        parameter.data.normal_(std=(1.5 / fan_in) ** 0.5, generator=generator)
    return model.eval()


def pictures() -> list[dict[str, Any]]:
    """Two noisy pictures of different sizes, neither of which fits without padding; the second is wanted larger."""
    generator = torch.Generator().manual_seed(2)
    made = []
    for height, width in ((70, 100), (90, 75)):
        coarse = torch.rand(1, 3, height // 8, width // 8, generator=generator) * 255
        image = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0]
        made.append({"image": image.round().to(torch.uint8)})
    made[1] |= {"height": 180, "width": 150}
    return made
