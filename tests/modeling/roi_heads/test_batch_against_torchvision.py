"""Both stages on a batch of images, losses and gradients, against torchvision's own Faster R-CNN."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList as TorchvisionImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign

from detectron2.layers import ShapeSpec
from detectron2.modeling import build_proposal_generator, build_roi_heads
from detectron2.structures import Boxes, ImageList, Instances
from tests.modeling.fact_configs import cfg_with

LEVELS = {"p2": 4, "p3": 8, "p4": 16}  # name: stride
CHANNELS, CLASSES, POOLED, HIDDEN = 6, 3, 3, 10
SIZES = [(64, 96), (80, 72), (48, 96), (80, 96)]  # of the images; the batch is padded to 80 x 96
CONFIG = {
    "MODEL.ANCHOR_GENERATOR.SIZES": [[12], [24], [48]],
    "MODEL.RPN.IN_FEATURES": list(LEVELS),
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": 40,
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": 90,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 50,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 70,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 40,
    "MODEL.RPN.SMOOTH_L1_BETA": 1 / 9,  # torchvision's
    "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
    "MODEL.ROI_HEADS.IN_FEATURES": list(LEVELS),
    "MODEL.ROI_HEADS.NUM_CLASSES": CLASSES,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 24,
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.NUM_FC": 2,
    "MODEL.ROI_BOX_HEAD.FC_DIM": HIDDEN,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": POOLED,
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlign",
    "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA": 1 / 9,
}


class TwoStages(nn.Module):
    """Our proposal generator and region heads on given feature maps."""

    def __init__(self) -> None:
        super().__init__()
        cfg = cfg_with(CONFIG)
        shapes = {name: ShapeSpec(channels=CHANNELS, stride=stride) for name, stride in LEVELS.items()}
        self.rpn = build_proposal_generator(cfg, shapes)
        self.roi_heads = build_roi_heads(cfg, shapes)

    def forward(self, images: Tensor, features: dict[str, Tensor], truth: list[Instances]) -> tuple[Any, dict]:
        batch = ImageList(images, SIZES)
        targets = truth if self.training else None
        proposals, losses = self.rpn(batch, features, targets)
        detections, more = self.roi_heads(batch, features, proposals, targets)
        found = [(d.pred_boxes.tensor, d.scores, d.pred_classes) for d in detections] if not self.training else None
        return found, losses | more


class TorchvisionTwoStages(nn.Module):
    """The same from torchvision's parts, with the weights of ``ours``."""

    def __init__(self, ours: TwoStages) -> None:
        super().__init__()
        anchors = AnchorGenerator(tuple((size,) for (size,) in CONFIG["MODEL.ANCHOR_GENERATOR.SIZES"]), ((1.0,),) * 3)
        anchors.cell_anchors = list(ours.rpn.anchor_generator.cell_anchors)  # torchvision rounds its own to pixels
        self.rpn = RegionProposalNetwork(
            anchors,
            RPNHead(CHANNELS, 3),
            0.7,
            0.3,
            batch_size_per_image=40,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 90, "testing": 50},
            post_nms_top_n={"training": 70, "testing": 40},
            nms_thresh=0.7,
        )
        self.roi_heads = RoIHeads(
            MultiScaleRoIAlign(list(LEVELS), POOLED, sampling_ratio=0),
            TwoMLPHead(CHANNELS * POOLED**2, HIDDEN),
            FastRCNNPredictor(HIDDEN, CLASSES + 1),
            0.5,
            0.5,
            batch_size_per_image=24,
            positive_fraction=0.25,
            bbox_reg_weights=(10.0, 10.0, 5.0, 5.0),
            score_thresh=0.05,
            nms_thresh=0.5,
            detections_per_img=100,
        )
        self.load_state_dict(torchvision_names(ours.state_dict()))

    def forward(self, images: Tensor, features: dict[str, Tensor], truth: list[Instances]) -> tuple[Any, dict]:
        targets = [{"boxes": t.gt_boxes.tensor, "labels": t.gt_classes + 1} for t in truth]
        proposals, losses = self.rpn(TorchvisionImageList(images, SIZES), features, targets)
        detections, more = self.roi_heads(features, proposals, SIZES, targets if self.training else None)
        found = [(d["boxes"], d["scores"], d["labels"] - 1) for d in detections]
        return found, losses | more


def torchvision_names(ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our parameters, or their gradients, under torchvision's names; there, background is the first class."""
    renamed = {}
    for kind in ("weight", "bias"):
        for theirs, name in (
            ("rpn.head.conv.0.0", "rpn.rpn_head.conv"),
            ("rpn.head.cls_logits", "rpn.rpn_head.objectness_logits"),
            ("rpn.head.bbox_pred", "rpn.rpn_head.anchor_deltas"),
            ("roi_heads.box_head.fc6", "roi_heads.box_head.fc1"),
            ("roi_heads.box_head.fc7", "roi_heads.box_head.fc2"),
        ):
            renamed[f"{theirs}.{kind}"] = ours[f"{name}.{kind}"]
        predictor = "roi_heads.box_predictor"
        renamed[f"{predictor}.cls_score.{kind}"] = ours[f"{predictor}.cls_score.{kind}"].roll(1, 0)
        deltas = ours[f"{predictor}.bbox_pred.{kind}"]
        renamed[f"{predictor}.bbox_pred.{kind}"] = torch.cat([torch.zeros_like(deltas[:4]), deltas])
    return renamed


@pytest.fixture
def models() -> tuple[TwoStages, TorchvisionTwoStages]:
    torch.manual_seed(0)
    ours = TwoStages()
    for parameter in ours.parameters():  # of a size at which scores and boxes differ from place to place
        nn.init.normal_(parameter, std=0.2)
    return ours, TorchvisionTwoStages(ours)


def batch() -> tuple[Tensor, dict[str, Tensor], list[Instances]]:
    """Padded images, feature maps and ground truth of 3, 0, 2 and 5 objects."""
    torch.manual_seed(1)
    features = {
        name: torch.randn(len(SIZES), CHANNELS, 80 // stride, 96 // stride, requires_grad=True)
        for name, stride in LEVELS.items()
    }
    truth = []
    for (height, width), count in zip(SIZES, (3, 0, 2, 5), strict=True):
        corner = torch.rand(count, 2) * torch.tensor([width, height]) * 0.6
        boxes = torch.cat([corner, corner + 8 + torch.rand(count, 2) * torch.tensor([width, height]) * 0.25], dim=1)
        classes = torch.randint(CLASSES, (count,))
        truth.append(Instances((height, width), gt_boxes=Boxes(boxes), gt_classes=classes))
    return torch.zeros(len(SIZES), 3, 80, 96), features, truth


def test_losses_and_gradients_of_a_batch(models):
    # Both draw a permutation of the positives and one of the negatives for each image: with one seed, one sample.
    results = []
    for model in models:
        images, features, truth = batch()
        torch.manual_seed(2)
        _, losses = model.train()(images, features, truth)
        sum(losses.values()).backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        results.append((losses, gradients, [level.grad for level in features.values()]))
    (ours, our_gradients, our_features), (theirs, their_gradients, their_features) = results
    names = {
        "loss_cls": "loss_classifier",
        "loss_box_reg": "loss_box_reg",
        "loss_rpn_cls": "loss_objectness",
        "loss_rpn_loc": "loss_rpn_box_reg",
    }
    assert {names[name] for name in ours} == set(theirs)
    for name, loss in ours.items():
        assert loss > 0.01
        assert_close(loss, theirs[names[name]], rtol=1e-5, atol=1e-6)
    assert_close(torchvision_names(our_gradients), their_gradients, rtol=1e-4, atol=1e-6)
    assert_close(our_features, their_features, rtol=1e-4, atol=1e-6)


def test_detections_of_a_batch(models):
    images, features, truth = batch()
    with torch.no_grad():
        (ours, _), (theirs, _) = (model.eval()(images, features, truth) for model in models)
    assert all(len(scores) > 10 for _, scores, _ in ours)
    for our_image, their_image in zip(ours, theirs, strict=True):
        assert_close(our_image, their_image, rtol=1e-4, atol=1e-4)
