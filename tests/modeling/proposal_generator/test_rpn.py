"""The region proposal network: head, sampling, losses, proposals."""

import pytest
import torch

from detectron2.layers import ShapeSpec
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.proposal_generator import (
    PROPOSAL_GENERATOR_REGISTRY,
    RPN,
    RPN_HEAD_REGISTRY,
    StandardRPNHead,
    build_proposal_generator,
)
from detectron2.modeling.proposal_generator.proposal_utils import find_top_rpn_proposals
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage
from tests.modeling.fact_configs import cfg_with

SHAPES = {"p3": ShapeSpec(channels=6, stride=8), "p4": ShapeSpec(channels=6, stride=16)}
CONFIG = {
    "MODEL.RPN.IN_FEATURES": ["p3", "p4"],
    "MODEL.ANCHOR_GENERATOR.SIZES": [[24], [48]],
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": 32,
    "MODEL.RPN.BBOX_REG_LOSS_WEIGHT": 3.0,
    "MODEL.RPN.LOSS_WEIGHT": 2.0,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 40,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 20,
}


@pytest.fixture
def rpn() -> RPN:
    torch.manual_seed(0)
    return build_proposal_generator(cfg_with(CONFIG), SHAPES)


def _batch(num_images: int = 2, height: int = 64, width: int = 96):
    torch.manual_seed(1)
    images = ImageList(torch.zeros(num_images, 3, height, width), [(height, width)] * num_images)
    features = {
        name: torch.randn(num_images, 6, height // shape.stride, width // shape.stride)
        for name, shape in SHAPES.items()
    }
    boxes = torch.tensor([[10.0, 12.0, 40.0, 36.0], [30.0, 4.0, 90.0, 60.0]])
    truth = [Instances((height, width), gt_boxes=Boxes(boxes.clone())) for _ in range(num_images)]
    return images, features, truth


def test_settings_come_from_the_config(rpn):
    assert "RPN" in PROPOSAL_GENERATOR_REGISTRY and "StandardRPNHead" in RPN_HEAD_REGISTRY
    assert rpn.pre_nms_topk == {True: 12000, False: 40} and rpn.post_nms_topk == {True: 2000, False: 20}
    assert rpn.loss_weight == {"loss_rpn_cls": 2.0, "loss_rpn_loc": 6.0}
    assert rpn.anchor_matcher.allow_low_quality_matches


def test_precomputed_proposals_need_no_module():
    cfg = cfg_with({"MODEL.PROPOSAL_GENERATOR.NAME": "PrecomputedProposals"})
    assert build_proposal_generator(cfg, SHAPES) is None


def test_losses_scalars_and_gradients_in_training(rpn):
    images, features, truth = _batch()
    with EventStorage() as storage:
        proposals, losses = rpn(images, features, truth)
        scalars = {name: value for name, (value, _) in storage.latest().items()}
    assert sorted(losses) == ["loss_rpn_cls", "loss_rpn_loc"]
    assert scalars["rpn/num_pos_anchors"] > 0
    assert scalars["rpn/num_pos_anchors"] + scalars["rpn/num_neg_anchors"] == 32
    assert not proposals[0].proposal_boxes.tensor.requires_grad
    sum(losses.values()).backward()
    for name, parameter in rpn.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_losses_are_means_over_a_full_sample(rpn):
    """With zero weights every logit is 0, so each sampled anchor costs log 2."""
    for parameter in rpn.parameters():
        torch.nn.init.zeros_(parameter)
    _, losses = rpn(*_batch())  # also shows that no event storage is needed
    assert losses["loss_rpn_cls"].item() == pytest.approx(2.0 * torch.log(torch.tensor(2.0)).item())


def test_image_without_ground_truth_samples_only_background(rpn):
    images, features, truth = _batch()
    truth[1] = Instances(truth[1].image_size, gt_boxes=Boxes(torch.zeros(0, 4)))
    anchors = rpn.anchor_generator([features["p3"], features["p4"]])
    labels, boxes = rpn.label_and_sample_anchors(anchors, truth)
    assert (labels[1] == 1).sum() == 0 and (labels[1] == 0).sum() == 32
    assert labels[1].dtype == torch.int8 and boxes[1].shape == boxes[0].shape
    _, losses = rpn(images, features, [truth[1]] * 2)
    assert losses["loss_rpn_loc"].item() == 0 and losses["loss_rpn_loc"].requires_grad


def test_anchors_out_of_the_image_are_left_out_on_request(rpn):
    _, features, truth = _batch()
    anchors = rpn.anchor_generator([features["p3"], features["p4"]])
    rpn.anchor_boundary_thresh = 0
    rpn.batch_size_per_image = 10000
    labels, _ = rpn.label_and_sample_anchors(anchors, truth[:1])
    inside = Boxes.cat(anchors).inside_box(truth[0].image_size)
    assert inside.any() and not inside.all()
    assert (labels[0][~inside] == -1).all()


def test_proposals_equal_those_of_decoding_every_anchor(rpn):
    images, features, _ = _batch()
    rpn.eval()
    torch.nn.init.normal_(rpn.rpn_head.anchor_deltas.weight, std=0.3)
    torch.nn.init.normal_(rpn.rpn_head.objectness_logits.weight, std=1.0)
    proposals, losses = rpn(images, features)
    assert losses == {}
    levels = list(features.values())
    logits, deltas = rpn.rpn_head(levels)
    logits = [x.permute(0, 2, 3, 1).flatten(1) for x in logits]
    boxes = []
    for delta, anchors in zip(deltas, rpn.anchor_generator(levels), strict=True):
        batch, channels, height, width = delta.shape
        rows = delta.reshape(batch, channels // 4, 4, height, width).permute(0, 3, 4, 1, 2).reshape(batch, -1, 4)
        boxes.append(torch.stack([rpn.box2box_transform.apply_deltas(image, anchors.tensor) for image in rows]))
    expected = find_top_rpn_proposals(boxes, logits, images.image_sizes, 0.7, 40, 20, 0, False)
    for actual, reference in zip(proposals, expected, strict=True):
        torch.testing.assert_close(actual.proposal_boxes.tensor, reference.proposal_boxes.tensor)
        assert torch.equal(actual.objectness_logits, reference.objectness_logits)
        assert len(actual) <= 20


def test_diverged_training_says_so(rpn):
    images, features, truth = _batch()
    torch.nn.init.constant_(rpn.rpn_head.anchor_deltas.bias, float("nan"))
    with pytest.raises(FloatingPointError, match="diverged"):
        rpn(images, features, truth)


def test_training_needs_ground_truth(rpn):
    images, features, _ = _batch()
    with pytest.raises(ValueError, match="gt_instances"):
        rpn(images, features)


def test_one_weight_serves_both_losses():
    rpn = RPN(
        in_features=["p3"],
        head=StandardRPNHead(in_channels=6, num_anchors=1, conv_dims=[4, -1]),
        anchor_generator=DefaultAnchorGenerator(sizes=[[16]], aspect_ratios=[[1.0]], strides=[8]),
        anchor_matcher=Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True),
        box2box_transform=Box2BoxTransform((1.0, 1.0, 1.0, 1.0)),
        batch_size_per_image=16,
        positive_fraction=0.5,
        pre_nms_topk=(30, 20),
        post_nms_topk=(10, 5),
        loss_weight=0.5,
        box_reg_loss_type="giou",
    )
    images, features, truth = _batch()
    proposals, losses = rpn(images, features, truth)
    assert rpn.loss_weight == {"loss_rpn_cls": 0.5, "loss_rpn_loc": 0.5}
    assert losses["loss_rpn_loc"] > 0 and len(proposals[0]) <= 10


@pytest.mark.parametrize("conv_dims, channels", [([-1], 6), ([8], 8), ([-1, 5, -1], 5)])
def test_head_convolutions(conv_dims, channels):
    head = StandardRPNHead(in_channels=6, num_anchors=3, box_dim=5, conv_dims=conv_dims)
    assert head.objectness_logits.in_channels == channels
    logits, deltas = head([torch.zeros(2, 6, 3, 4), torch.zeros(2, 6, 1, 2)])
    assert [x.shape for x in logits] == [(2, 3, 3, 4), (2, 3, 1, 2)]
    assert [x.shape for x in deltas] == [(2, 15, 3, 4), (2, 15, 1, 2)]


@pytest.mark.parametrize("conv_dims", [[], [0], [-2]])
def test_head_refuses_widths_that_are_none(conv_dims):
    with pytest.raises(ValueError, match="CONV_DIMS"):
        StandardRPNHead(in_channels=6, num_anchors=3, conv_dims=conv_dims)


@pytest.mark.parametrize(
    "changes, shapes",
    [
        ({"MODEL.ANCHOR_GENERATOR.SIZES": [[24], [48, 96]]}, SHAPES),
        ({}, {**SHAPES, "p4": ShapeSpec(channels=7, stride=16)}),
    ],
)
def test_levels_that_cannot_share_a_head_are_refused(changes, shapes):
    with pytest.raises(ValueError, match="shared by its levels.*p3"):
        build_proposal_generator(cfg_with({**CONFIG, **changes}), shapes)


def test_half_precision_inference_on_cpu(rpn):
    images, features, _ = _batch()
    rpn.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        proposals, _ = rpn(images, features)
    assert proposals[0].proposal_boxes.tensor.dtype == torch.float32
