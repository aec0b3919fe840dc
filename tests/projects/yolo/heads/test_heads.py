"""Fresh heads predict what their priors say."""

import math

import pytest
import torch
from detectron2.projects.yolo.families.anchors import COCO_P5
from detectron2.projects.yolo.heads import AnchorBasedHead, AnchorFreeHead, DetectionHead, EndToEndHead, YOLOXHead
from torch import nn

STRIDES = (8, 16, 32)
CHANNELS = (8, 16, 32)
CLASSES = 5


def fresh(make: type[DetectionHead], **options: object) -> list[torch.Tensor]:
    """The raw predictions of a new head for a map where no convolution but the last has an effect."""
    head = make(CHANNELS, CLASSES, STRIDES, **options).eval()
    for layer in head.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
    features = [torch.rand(1, channels, 2, 2) for channels in CHANNELS]
    return [raw[0, :, 0, 0].detach() for raw in head(features)]


@pytest.mark.parametrize("make", [AnchorFreeHead, EndToEndHead])
def test_decoupled_branches_expect_five_objects_in_an_image(make: type[DetectionHead]) -> None:
    for raw, stride in zip(fresh(make), STRIDES, strict=True):
        cells = (640 / stride) ** 2
        torch.testing.assert_close(raw[-CLASSES:].exp().sum() * cells, torch.tensor(5.0))
        torch.testing.assert_close(raw[:-CLASSES], torch.ones(64))


def test_yolox_expects_one_percent() -> None:
    for raw in fresh(YOLOXHead, hidden_channels=8):
        torch.testing.assert_close(raw[4:].sigmoid(), torch.full((1 + CLASSES,), 0.01))


def test_anchor_based_head_expects_eight_objects_in_an_image() -> None:
    torch.manual_seed(0)
    head = AnchorBasedHead(CHANNELS, CLASSES, STRIDES, anchors=COCO_P5)
    torch.manual_seed(0)
    for channels, predictor, stride in zip(CHANNELS, head.predictors, STRIDES, strict=True):
        before = nn.Conv2d(channels, 3 * (5 + CLASSES), 1).bias
        raised = (predictor.bias - before).detach().view(3, 5 + CLASSES)
        assert raised[:, :4].abs().max() == 0
        torch.testing.assert_close(raised[:, 4], torch.full((3,), math.log(8 / (640 / stride) ** 2)))
        torch.testing.assert_close(raised[:, 5:], torch.full((3, CLASSES), math.log(0.6 / (CLASSES - 0.99999))))


def test_auxiliary_predictions_follow_the_others_in_training() -> None:
    head = AnchorFreeHead((*CHANNELS, *CHANNELS), CLASSES, STRIDES)
    features = [torch.rand(2, channels, 4, 4) for channels in (*CHANNELS, *CHANNELS)]
    both = head.train()(features)
    assert len(both) == 6 and len(head.eval()(features)) == 3
    assert head.drop_auxiliary() == ["auxiliary_branches"]
    assert len(head.train()(features)) == 3


def test_one_to_one_branches_do_not_teach_the_feature_maps() -> None:
    head = EndToEndHead(CHANNELS, CLASSES, STRIDES).train()
    features = [torch.rand(2, channels, 4, 4, requires_grad=True) for channels in CHANNELS]
    raw = head(features)
    sum(level.sum() for level in raw[:3]).backward(retain_graph=True)
    assert all(feature.grad is None for feature in features)
    sum(level.sum() for level in raw[3:]).backward()
    assert all(feature.grad is not None for feature in features)


def test_branches_of_an_end_to_end_head_begin_equal() -> None:
    head = EndToEndHead(CHANNELS, CLASSES, STRIDES).eval()
    features = [torch.rand(1, channels, 4, 4) for channels in CHANNELS]
    for one, many in zip(head.main(features), head.auxiliary(features), strict=True):
        torch.testing.assert_close(one, many, rtol=0, atol=0)


def test_number_of_classes_is_checked() -> None:
    with pytest.raises(ValueError, match="num_classes"):
        YOLOXHead(CHANNELS, 0, STRIDES)
