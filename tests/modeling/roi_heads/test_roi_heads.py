import pytest
import torch
from torch import nn
from torch.testing import assert_close

from detectron2.modeling.matcher import Matcher
from detectron2.modeling.roi_heads import (
    ROI_HEADS_REGISTRY,
    Res5ROIHeads,
    ROIHeads,
    StandardROIHeads,
    build_roi_heads,
    select_foreground_proposals,
)
from detectron2.modeling.roi_heads.roi_heads import select_proposals_with_visible_keypoints
from detectron2.structures import Boxes, Instances, Keypoints
from detectron2.utils.events import EventStorage
from tests.modeling.tiny_models import eval_inputs, tiny_config, tiny_model, training_inputs

SIZE = (100, 100)
K = 3


def _roi_heads(**kwargs) -> ROIHeads:
    matcher = Matcher([0.5], [0, 1], allow_low_quality_matches=False)
    arguments = {"num_classes": K, "batch_size_per_image": 4, "positive_fraction": 0.5, **kwargs}
    return ROIHeads(proposal_matcher=matcher, **arguments)


def _targets() -> Instances:
    boxes = torch.tensor([[0.0, 0, 20, 20], [50, 50, 90, 90]])
    return Instances(SIZE, gt_boxes=Boxes(boxes), gt_classes=torch.tensor([1, 2]), gt_ids=torch.tensor([7, 8]))


def _proposals() -> Instances:
    boxes = torch.tensor([[1.0, 1, 21, 21], [30, 30, 40, 40], [52, 52, 90, 90], [0, 60, 10, 70], [70, 0, 80, 10]])
    return Instances(SIZE, proposal_boxes=Boxes(boxes), objectness_logits=torch.arange(5.0))


def _no_targets() -> Instances:
    return _targets()[:0]


def test_sampled_proposals_carry_their_objects():
    torch.manual_seed(0)
    with EventStorage() as storage:
        sampled, empty = _roi_heads(proposal_append_gt=False).label_and_sample_proposals(
            [_proposals(), _proposals()], [_targets(), _no_targets()]
        )
    assert len(sampled) == 4
    assert sorted(sampled.gt_classes[:2].tolist()) == [1, 2]
    assert (sampled.gt_classes[2:] == K).all()
    assert_close(sampled.gt_ids[:2], torch.where(sampled.gt_classes[:2] == 1, 7, 8))
    assert set(sampled.get_fields()) == {"proposal_boxes", "objectness_logits", "gt_classes", "gt_boxes", "gt_ids"}
    # an image without objects gives background only, and nothing about objects
    assert (empty.gt_classes == K).all()
    assert len(empty) == 4
    assert not empty.has("gt_boxes")
    latest = {name: value for name, (value, _) in storage.latest().items()}
    assert latest == {"roi_head/num_fg_samples": 1.0, "roi_head/num_bg_samples": 3.0}


def test_ground_truth_joins_the_proposals():
    (sampled,) = _roi_heads(batch_size_per_image=64).label_and_sample_proposals([_proposals()], [_targets()])
    assert len(sampled) == 7
    assert (sampled.gt_classes < K).sum().item() == 4


def test_no_proposals_and_no_targets():
    (sampled,) = _roi_heads().label_and_sample_proposals([_proposals()[:0]], [_no_targets()])
    assert len(sampled) == 0


def test_ignored_overlaps_are_not_sampled():
    heads = _roi_heads(batch_size_per_image=64, proposal_append_gt=False)
    heads.proposal_matcher = Matcher([0.3, 0.99], [0, -1, 1])
    (sampled,) = heads.label_and_sample_proposals([_proposals()], [_targets()])
    assert sampled.gt_classes.tolist() == [K] * 3


def test_foreground_selection():
    image = Instances(SIZE, gt_classes=torch.tensor([0, K, -1, 2]))
    (chosen,), (mask,) = select_foreground_proposals([image], K)
    assert chosen.gt_classes.tolist() == [0, 2]
    assert mask.tolist() == [True, False, False, True]
    with pytest.raises(ValueError, match="gt_classes"):
        select_foreground_proposals([Instances(SIZE)], K)


def test_keypoint_selection():
    visible_inside, visible_outside, hidden_inside = [5.0, 5, 2], [50.0, 50, 2], [5.0, 5, 0]
    keypoints = Keypoints(torch.tensor([[visible_inside], [visible_outside], [hidden_inside]]))
    boxes = Boxes(torch.tensor([[0.0, 0, 10, 10]] * 3))
    image = Instances(SIZE, proposal_boxes=boxes, gt_keypoints=keypoints, number=torch.arange(3))
    with EventStorage() as storage:
        chosen, none = select_proposals_with_visible_keypoints([image, image[:0]])
    assert chosen.number.tolist() == [0]
    assert len(none) == 0
    assert storage.latest()["keypoint_head/num_fg_samples"][0] == 0.5


class _CountingHead(nn.Module):
    """Stands for a keypoint head; shows what it was called with."""

    def forward(self, x, instances):
        if self.training:
            return {"loss_keypoint": x.sum() * 0}
        for image in instances:
            image.pred_keypoints = torch.zeros(len(image), 1, 3)
        return instances


def test_a_keypoint_head_given_by_hand_is_run():
    model = tiny_model("mask_rcnn_fpn_tiny")
    heads = model.roi_heads
    heads.keypoint_on, heads.keypoint_head = True, _CountingHead().eval()
    heads.keypoint_in_features, heads.keypoint_pooler = heads.mask_in_features, heads.mask_pooler
    with torch.no_grad():
        assert model(eval_inputs("mask_rcnn_fpn_tiny"))[0]["instances"].pred_keypoints.shape == (20, 1, 3)
    (inputs,) = training_inputs("mask_rcnn_fpn_tiny")
    inputs["instances"].gt_keypoints = Keypoints(torch.zeros(9, 1, 3))
    assert "loss_keypoint" in model.train()([inputs])


def test_keypoints_from_a_config_are_not_there_yet():
    cfg = tiny_config("mask_rcnn_fpn_tiny")
    cfg.MODEL.KEYPOINT_ON = True
    shapes = tiny_model("mask_rcnn_fpn_tiny").backbone.output_shape()
    with pytest.raises(NotImplementedError, match="KEYPOINT_ON"):
        build_roi_heads(cfg, shapes)
    cfg = tiny_config("mask_rcnn_c4_tiny")
    cfg.MODEL.KEYPOINT_ON = True
    with pytest.raises(NotImplementedError, match="KEYPOINT_ON"):
        build_roi_heads(cfg, tiny_model("mask_rcnn_c4_tiny").backbone.output_shape())


def test_subclasses_override_the_branches():
    @ROI_HEADS_REGISTRY.register()
    class BoxlessHeads(StandardROIHeads):
        @classmethod
        def _init_mask_head(cls, cfg, input_shape):
            return {}

        def _forward_box(self, features, proposals):
            losses = super()._forward_box(features, proposals)
            return {f"my_{name}": loss for name, loss in losses.items()}

    class OldStyleHeads(BoxlessHeads):
        def _init_box_head(self, cfg, input_shape):
            """An instance method: not called from from_config."""

    cfg = tiny_config("mask_rcnn_fpn_tiny")
    cfg.MODEL.ROI_HEADS.NAME = "BoxlessHeads"
    model = tiny_model("faster_rcnn_fpn_tiny").train()
    model.roi_heads = build_roi_heads(cfg, model.backbone.output_shape())
    assert set(model(training_inputs("faster_rcnn_fpn_tiny"))) > {"my_loss_cls", "my_loss_box_reg"}
    assert not model.roi_heads.mask_on
    assert "box_head" not in OldStyleHeads.from_config(cfg, model.backbone.output_shape())


@pytest.mark.parametrize("name", ["mask_rcnn_fpn_tiny", "mask_rcnn_c4_tiny"])
def test_masks_of_given_boxes_equal_those_of_detection(name):
    model, inputs = tiny_model(name), eval_inputs(name)
    with torch.no_grad():
        detected = model.inference(inputs, do_postprocess=False)
        given = [
            Instances(d.image_size, pred_boxes=d.pred_boxes, pred_classes=d.pred_classes, scores=d.scores)
            for d in detected
        ]
        again = model.inference(inputs, detected_instances=given, do_postprocess=False)
    assert_close(again[0].pred_masks, detected[0].pred_masks)
    heads = model.roi_heads
    with pytest.raises(ValueError, match="pred_classes"):
        heads.forward_with_given_boxes({}, [Instances(SIZE, pred_boxes=given[0].pred_boxes)])
    with pytest.raises(RuntimeError, match="eval"):
        heads.train().forward_with_given_boxes({}, given)


def test_training_on_predicted_boxes():
    model = tiny_model("mask_rcnn_fpn_tiny").train()
    torch.manual_seed(7)
    usual = model(training_inputs("mask_rcnn_fpn_tiny"))
    model.roi_heads.train_on_pred_boxes = True
    torch.manual_seed(7)
    losses = model(training_inputs("mask_rcnn_fpn_tiny"))
    assert losses["loss_box_reg"] == usual["loss_box_reg"]
    assert losses["loss_mask"] != usual["loss_mask"]


def test_settings_that_do_not_work():
    shapes = tiny_model("faster_rcnn_fpn_tiny").backbone.output_shape()
    cfg = tiny_config("mask_rcnn_c4_tiny")
    cfg.MODEL.ROI_HEADS.IN_FEATURES = ["p2", "p3"]
    with pytest.raises(ValueError, match="one feature map"):
        Res5ROIHeads(cfg, shapes)
    cfg.MODEL.ROI_HEADS.IN_FEATURES = ["p2"]
    cfg.MODEL.RESNETS.DEFORM_ON_PER_STAGE = [False, False, False, True]
    with pytest.raises(ValueError, match="DEFORM_ON_PER_STAGE"):
        Res5ROIHeads(cfg, shapes)
    cfg = tiny_config("faster_rcnn_fpn_tiny")
    shapes["p3"].channels = 7
    with pytest.raises(ValueError, match="same channels"):
        StandardROIHeads(cfg, shapes)
    with pytest.raises(ValueError, match="targets"):
        tiny_model("mask_rcnn_c4_tiny").roi_heads.train()(None, {}, [])
