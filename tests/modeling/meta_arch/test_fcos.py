import pytest
import torch
from torch.testing import assert_close

from detectron2 import model_zoo
from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.meta_arch.fcos import FCOSHead
from detectron2.structures import Boxes, Instances
from tests.facts import fact
from tests.modeling.tiny_models import build_fcos, tiny_model

NAME = "fcos_lazy_tiny"


def _locations() -> list[Boxes]:
    """A 4 x 4 grid of stride 8 and a 2 x 2 grid of stride 16, as the finest and the coarsest level."""
    levels = []
    for stride in (8, 16):
        corners = torch.arange(0, 32, stride, dtype=torch.float32)
        y, x = torch.meshgrid(corners, corners, indexing="ij")
        levels.append(Boxes(torch.stack([x, y, x + stride, y + stride], dim=-1).reshape(-1, 4)))
    return levels


def test_the_smallest_box_wins_and_the_radius_limits():
    model = tiny_model(NAME)
    large, small = [0.0, 0, 32, 32], [8.0, 8, 16, 16]
    objects = Instances((32, 32), gt_boxes=Boxes(torch.tensor([large, small])), gt_classes=torch.tensor([1, 2]))
    labels, boxes = model.label_anchors(_locations(), [objects])
    labels, boxes = labels[0], boxes[0]
    fine = labels[:16].view(4, 4)
    assert fine[1, 1].item() == 2  # the cell [8, 16] squared lies in both boxes
    # within 1.5 strides of (16, 16): the inner 2 x 2 cells
    assert fine[1:3, 1:3].flatten().tolist() == [2, 1, 1, 1]
    assert (fine == 5).sum().item() == 12
    assert labels[16:].tolist() == [5] * 4  # the coarsest level starts at distances of 64
    assert boxes[5].tolist() == small
    model.center_sampling_radius = 0.0
    wide = model.label_anchors(_locations(), [objects])[0][0][:16]
    assert (wide == 1).sum().item() == 15


def test_ranges_split_the_levels():
    model = tiny_model(NAME)
    model.center_sampling_radius = 0.0
    objects = Instances((300, 300), gt_boxes=Boxes(torch.tensor([[0.0, 0, 300, 300]])), gt_classes=torch.tensor([1]))
    labels = model.label_anchors(_locations(), [objects])[0][0]
    assert labels.tolist() == [5] * 16 + [1] * 4


def test_no_objects():
    none = Instances((32, 32), gt_boxes=Boxes(torch.zeros(0, 4)), gt_classes=torch.zeros(0, dtype=torch.int64))
    labels, boxes = tiny_model(NAME).label_anchors(_locations(), [none])
    assert labels[0].tolist() == [5] * 20
    assert boxes[0].shape == (20, 4)


def test_centerness_targets():
    location = [Boxes(torch.tensor([[12.0, 12, 20, 20]]))]
    boxes = torch.tensor([[[0.0, 0, 32, 32]], [[12, 0, 32, 32]], [[16, 0, 32, 32]]])
    targets = tiny_model(NAME).compute_ctrness_targets(location, list(boxes))
    assert_close(targets, torch.tensor([[1.0], [(4 / 16) ** 0.5], [0.0]]))


def test_head():
    head = FCOSHead(input_shape=[ShapeSpec(channels=32)] * 2, num_classes=3, conv_dims=[32], norm="GN")
    logits, distances, centerness = head([torch.randn(2, 32, 4, 6), torch.randn(2, 32, 2, 3)])
    assert [x.shape for x in logits] == [(2, 3, 4, 6), (2, 3, 2, 3)]
    assert [x.shape for x in distances] == [(2, 4, 4, 6), (2, 4, 2, 3)]
    assert [x.shape for x in centerness] == [(2, 1, 4, 6), (2, 1, 2, 3)]
    assert head.ctrness.weight.std().item() == pytest.approx(0.01, rel=0.2)
    with pytest.raises(ValueError, match="2 levels"):
        head([torch.randn(2, 32, 4, 6)])


def test_from_config():
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_retinanet_resnet_fpn_backbone"
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.FPN.IN_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.FPN.OUT_CHANNELS = 32
    cfg.MODEL.FCOS.NUM_CLASSES = 3
    cfg.MODEL.FCOS.NUM_CONVS = 2
    cfg.MODEL.FCOS.NMS_THRESH_TEST = 0.4
    cfg.TEST.DETECTIONS_PER_IMAGE = 9
    with torch.device("meta"):
        model = META_ARCH_REGISTRY.get("FCOS")(cfg)
    assert (model.num_classes, model.test_nms_thresh, model.max_detections_per_image) == (3, 0.4, 9)
    assert [type(layer).__name__ for layer in model.head.cls_subnet] == ["Conv2d", "GroupNorm", "ReLU"] * 2
    assert model.anchor_generator.num_anchors == [1] * 5


def test_full_size_state_dict():
    recorded = fact("state_dicts")["lazy__COCO-Detection__fcos_R_50_FPN_1x"]
    with torch.device("meta"):
        model = build_fcos(64, 256, 256, 4, 80, "GN")
    entries = [[key, list(value.shape)] for key, value in model.state_dict().items()]
    assert entries == [entry[:2] for entry in recorded["entries"]]


def test_zoo_config_builds_the_recorded_model():
    recorded = fact("state_dicts")["lazy__COCO-Detection__fcos_R_50_FPN_1x"]
    cfg = model_zoo.get_config("COCO-Detection/fcos_R_50_FPN_1x.yaml")
    with torch.device("meta"):
        model = META_ARCH_REGISTRY.get("FCOS")(cfg)
    entries = [[key, list(value.shape)] for key, value in model.state_dict().items()]
    assert entries == [entry[:2] for entry in recorded["entries"]]
