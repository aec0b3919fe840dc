import pytest
import torch
from torch import nn
from torch.testing import assert_close

from detectron2.config import get_cfg
from detectron2.layers import CycleBatchNormList, ShapeSpec
from detectron2.modeling.meta_arch.dense_detector import DenseDetector, permute_to_N_HWA_K
from detectron2.modeling.meta_arch.retinanet import RetinaNet, RetinaNetHead
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from tests.modeling.tiny_models import eval_inputs, tiny_config, tiny_model, training_inputs

NAME = "retinanet_tiny"


def _head(norm: str = "", **kwargs) -> RetinaNetHead:
    torch.manual_seed(0)
    arguments = {"num_classes": 2, "num_anchors": 3, "conv_dims": [32, 32], **kwargs}
    return RetinaNetHead(input_shape=[ShapeSpec(channels=32)] * 3, norm=norm, **arguments)


def _features() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 32, side, side, generator=generator) * scale for side, scale in ((8, 1), (4, 3), (2, 5))]


def test_permute_by_anchor():
    x = torch.arange(2 * 6 * 4 * 5).view(2, 6, 4, 5)  # three anchors of two values
    y = permute_to_N_HWA_K(x, 2)
    assert y.shape == (2, 60, 2)
    row, column, anchor = 3, 1, 2
    assert_close(y[1, (row * 5 + column) * 3 + anchor], x[1, 2 * anchor : 2 * anchor + 2, row, column])
    with pytest.raises(ValueError, match="shape"):
        permute_to_N_HWA_K(x[0], 2)


@pytest.mark.parametrize("norm", ["", "BN", "SyncBN", "GN", "FrozenBN"])
def test_head_shapes_and_start(norm):
    head = _head(norm, prior_prob=0.05).eval()
    logits, deltas = head(_features())
    assert [x.shape for x in logits] == [(2, 6, s, s) for s in (8, 4, 2)]
    assert [x.shape for x in deltas] == [(2, 12, s, s) for s in (8, 4, 2)]
    assert head.cls_score.bias.sigmoid().unique().tolist() == pytest.approx([0.05])
    assert head.cls_score.weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_batch_norm_statistics_follow_the_level_not_the_order_of_calls():
    head, features = _head("BN").train(), _features()
    for _ in range(20):
        head(features)
    norm = head.cls_subnet[1]
    assert isinstance(norm, CycleBatchNormList)
    spreads = [level.running_var.mean().item() for level in norm]
    assert spreads[0] < spreads[1] < spreads[2]
    head.eval()
    expected = head(features)[0][0]
    norm(torch.zeros(1, 32, 4, 4))  # an extra call of the cycling interface must not shift the levels
    assert_close(head(features)[0][0], expected)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"prior_prob": 0.0}, "prior_prob"),
        ({"input_shape": [ShapeSpec(channels=32), ShapeSpec(channels=16)]}, "same channels"),
    ],
)
def test_head_settings_that_do_not_work(kwargs, message):
    arguments = {"input_shape": [ShapeSpec(channels=32)], "num_classes": 2, "num_anchors": 3, "conv_dims": [32]}
    with pytest.raises(ValueError, match=message):
        RetinaNetHead(**{**arguments, **kwargs})


def test_head_checks_the_number_of_levels():
    with pytest.raises(ValueError, match="3 levels"):
        _head()(_features()[:2])


def test_anchor_counts_must_agree():
    cfg = get_cfg()
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[32], [64, 128]]
    with pytest.raises(ValueError, match="same number of anchors"):
        RetinaNetHead(cfg, [ShapeSpec(channels=8, stride=8), ShapeSpec(channels=8, stride=16)])


def test_labels_of_anchors():
    model = tiny_model(NAME)
    anchors = [
        Boxes(torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 22]])),
        Boxes(torch.tensor([[0.0, 0, 10, 30], [60, 60, 70, 70]])),
    ]
    objects = Instances((100, 100), gt_boxes=Boxes(torch.tensor([[0.0, 0, 10, 10]])), gt_classes=torch.tensor([3]))
    labels, boxes = model.label_anchors(anchors, [objects, objects[:0]])
    # overlaps 1, 0.45, 0.33, 0 with thresholds 0.4 and 0.5
    assert labels[0].tolist() == [3, -1, 5, 5]
    assert boxes[0][0].tolist() == [0, 0, 10, 10]
    assert labels[1].tolist() == [5] * 4
    assert boxes[1].shape == (4, 4)


@pytest.mark.parametrize("name", ["retinanet_tiny", "fcos_lazy_tiny"])
class TestDenseDetectors:
    def test_images_without_objects(self, name):
        model = tiny_model(name).train()
        (inputs,) = training_inputs(name)
        inputs["instances"] = inputs["instances"][:0]
        losses = model([inputs, inputs])
        assert all(loss.isfinite() for loss in losses.values())
        sum(losses.values()).backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
        box_losses = [loss for key, loss in losses.items() if "cls" not in key]
        assert [loss.item() for loss in box_losses] == [0.0] * len(box_losses)

    def test_images_of_different_sizes(self, name):
        model = tiny_model(name)
        images = [torch.zeros(3, 64, 200), torch.full((3, 97, 33), 120.0)]
        with torch.no_grad():
            outputs = model([{"image": images[0]}, {"image": images[1], "height": 194, "width": 66}])
        assert [o["instances"].image_size for o in outputs] == [(64, 200), (194, 66)]
        boxes = outputs[1]["instances"].pred_boxes.tensor
        assert boxes.amax(dim=0)[2] <= 66
        assert boxes.amax(dim=0)[3] <= 194

    def test_nothing_above_the_threshold(self, name):
        model = tiny_model(name)
        model.test_score_thresh = 1.1
        with torch.no_grad():
            outputs = model(eval_inputs(name))
        assert [len(o["instances"]) for o in outputs] == [0, 0]
        assert outputs[0]["instances"].pred_boxes.tensor.shape == (0, 4)

    def test_limits_of_inference(self, name):
        model = tiny_model(name)
        model.max_detections_per_image, model.test_topk_candidates = 7, 3
        with torch.no_grad():
            detections = model(eval_inputs(name))[0]["instances"]
        assert len(detections) <= 7
        assert (detections.scores.diff() <= 0).all()

    @pytest.mark.parametrize("part", ["cls_score", "bbox_pred"])
    def test_nan_is_an_error(self, name, part):
        model = tiny_model(name)
        nn.init.constant_(getattr(model.head, part).bias, float("nan"))
        with torch.no_grad(), pytest.raises(FloatingPointError, match=type(model).__name__):
            model(eval_inputs(name))

    def test_missing_ground_truth_names_the_file(self, name):
        (inputs,) = training_inputs(name)
        del inputs["instances"]
        with pytest.raises(ValueError, match=r"'instances'.*cells/7\.png"):
            tiny_model(name).train()([{**inputs, "file_name": "cells/7.png"}])

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ([], "empty list"),
            ([{"image": torch.zeros(1, 32, 32)}], r"shape \(1, 32, 32\)"),
            ([{"image": torch.zeros(32, 32)}], r"expected \(3, H, W\)"),
        ],
    )
    def test_inputs_that_do_not_fit(self, name, inputs, message):
        with pytest.raises(ValueError, match=message):
            tiny_model(name)(inputs)

    def test_the_running_average_moves_and_is_restored(self, name):
        model = tiny_model(name).train()
        assert model.training_state() == {}
        model(training_inputs(name))
        first = model.training_state()
        model(training_inputs(name))
        second = model.training_state()
        assert list(second) == ["loss_normalizer"]
        assert second["loss_normalizer"] < first["loss_normalizer"]  # from 100 or 300 towards some 60 positives

        resumed = tiny_model(name).train()
        resumed.load_training_state(first)
        losses = resumed(training_inputs(name))
        assert resumed.training_state() == second
        again = tiny_model(name).train()(training_inputs(name))
        assert all(losses[key] > again[key] for key in losses)

    def test_pictures_of_the_training(self, name):
        model = tiny_model(name).train()
        model.vis_period = 1
        with EventStorage() as storage:
            model(training_inputs(name))
        ((tag, picture, _),) = storage._vis_data
        assert "GT" in tag
        assert picture.shape == (3, 96, 2 * 128)
        assert picture.dtype == torch.uint8

    def test_training_needs_no_event_storage(self, name):
        assert set(tiny_model(name).train()(training_inputs(name)))

    def test_moves_between_devices_as_one(self, name):
        model = tiny_model(name)
        assert model.device == torch.device("cpu")
        assert not {"pixel_mean", "pixel_std"} & set(model.state_dict())
        assert model.to("meta").device.type == "meta"


def test_head_in_features_default_to_all_levels_finest_first():
    backbone = tiny_model(NAME).backbone
    model = DenseDetector(backbone, _head(), pixel_mean=[0.0] * 3, pixel_std=[1.0] * 3)
    assert model.head_in_features == ["p3", "p4", "p5", "p6", "p7"]
    with pytest.raises(ValueError, match="PIXEL_STD"):
        DenseDetector(backbone, _head(), pixel_mean=[0.0] * 3, pixel_std=[1.0])


def test_unknown_loss_type():
    cfg = tiny_config(NAME)
    cfg.MODEL.RETINANET.BBOX_REG_LOSS_TYPE = "l2"
    with pytest.raises(ValueError, match="'l2' is not one of smooth_l1, giou, diou, ciou"):
        RetinaNet(cfg)


@pytest.mark.parametrize("loss_type", ["giou", "diou", "ciou"])
def test_iou_losses_train(loss_type):
    cfg = tiny_config(NAME)
    cfg.MODEL.RETINANET.BBOX_REG_LOSS_TYPE = loss_type
    losses = RetinaNet(cfg).train()(training_inputs(NAME))
    losses["loss_box_reg"].backward()
    assert losses["loss_box_reg"] > 0
