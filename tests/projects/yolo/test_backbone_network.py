"""One head on any backbone: alone, inside of GeneralizedRCNN, exported, with few and many classes."""

from typing import Any

import pytest
import torch
from detectron2.projects.yolo import YOLO, YOLOAnchorGenerator, YOLOHeads, meta_arch
from detectron2.projects.yolo.anchor_generator import anchor_shapes, default_anchors
from detectron2.projects.yolo.backbone_network import BackboneNetwork
from detectron2.projects.yolo.backbones import StagedBackbone
from detectron2.projects.yolo.families.anchors import COCO_P5, TINY
from detectron2.projects.yolo.heads.grid import GRID_HEADS, GridHeadSettings, build_grid_head
from detectron2.projects.yolo.layers import conv_bn_act
from detectron2.projects.yolo.postprocessing import Postprocessing
from detectron2.projects.yolo.traceable import TraceableYOLO
from torch import nn

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from detectron2.modeling.anchor_generator import build_anchor_generator
from detectron2.projects import read_config
from tests.projects.yolo.test_meta_arch import batch, overfit, sample

CONFIGS = "projects/YOLO/configs/backbones/"


def config(kind: str = "anchor_free_dfl", num_classes: int = 3, **settings: Any) -> CfgNode:
    """A small backbone without neck."""
    cfg = read_config(CONFIGS + "Base-backbone.yaml")
    cfg.MODEL.DEVICE, cfg.INPUT.YOLO.SIZE, cfg.SOLVER.IMS_PER_BATCH = "cpu", [64, 64], 2
    cfg.MODEL.BACKBONE.NAME = "build_csp_darknet_backbone"
    node = cfg.MODEL.YOLO
    node.NUM_CLASSES, node.SCORE_THRESH_TEST, node.HEAD.KIND, node.HEAD.HIDDEN_CHANNELS = num_classes, 0.0, kind, 32
    node.HEAD.IN_FEATURES = []
    cfg.merge_from_list([part for key, value in settings.items() for part in (key.replace("__", "."), value)])
    return cfg


def in_rcnn(cfg: CfgNode) -> CfgNode:
    """The same detector in the other form."""
    cfg = cfg.clone()
    cfg.MODEL.META_ARCHITECTURE = "GeneralizedRCNN"
    cfg.MODEL.PROPOSAL_GENERATOR.NAME, cfg.MODEL.ROI_HEADS.NAME = "YOLOPassThrough", "YOLOHeads"
    cfg.MODEL.ANCHOR_GENERATOR.NAME = "YOLOAnchorGenerator"
    return cfg


def built(cfg: CfgNode) -> nn.Module:
    torch.manual_seed(0)
    return build_model(cfg)


def even_batch() -> list[dict]:
    """Images that need no padding, which the two forms fill differently."""
    return [sample(64, 64, [[8.0, 8.0, 40.0, 44.0]], [2]), sample(64, 64, [], seed=1)]


@pytest.mark.parametrize("kind", GRID_HEADS)
def test_both_forms_are_the_same_detector(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Convolutions round differently in another layout, which GeneralizedRCNN does not change.
    monkeypatch.setattr(meta_arch, "in_fast_layout", lambda images: images)
    cfg = config(kind)
    alone, inside = built(cfg), built(in_rcnn(cfg))
    assert isinstance(alone, YOLO)
    assert isinstance(inside.roi_heads, YOLOHeads)
    assert alone.network.strides == (8, 16, 32)
    assert alone.network.output_shapes(64, 96) == [
        (alone.network.head.out_channels, 64 // s, 96 // s) for s in (8, 16, 32)
    ]
    names = {"network.backbone.": "backbone.", "network.head.": "roi_heads.head."}
    state = alone.state_dict()
    for theirs, ours in names.items():
        state = {ours + name.removeprefix(theirs) if name.startswith(theirs) else name: v for name, v in state.items()}
    inside.load_state_dict(state)
    expected, losses = alone(even_batch()), inside(even_batch())
    assert expected.keys() == losses.keys()
    for name, loss in expected.items():
        torch.testing.assert_close(losses[name], loss)
    sum(losses.values()).backward()
    assert [name for name, parameter in inside.named_parameters() if parameter.grad is None] == []
    alone.eval(), inside.eval()
    with torch.no_grad():
        for one, other in zip(alone(even_batch()), inside(even_batch()), strict=True):
            one, other = one["instances"], other["instances"]
            assert len(one) == len(other) > 0
            torch.testing.assert_close(one.pred_boxes.tensor, other.pred_boxes.tensor)
            torch.testing.assert_close(one.scores, other.scores)


def test_rcnn_takes_images_of_any_size_draws_and_keeps_given_boxes() -> None:
    cfg = in_rcnn(config())
    cfg.VIS_PERIOD = 1
    model = built(cfg)
    history = overfit(model, [sample(60, 70, [[8.0, 8.0, 40.0, 44.0]])] * 2, 8)
    assert history[-1] < history[0]
    model.eval()
    with torch.no_grad():
        found = [result["instances"] for result in model(batch())]
        assert [instances.image_size for instances in found] == [(120, 180), (140, 128)]
        given = model.inference(batch(), detected_instances=found, do_postprocess=False)
    assert [len(instances) for instances in given] == [len(instances) for instances in found]
    model.train()
    with pytest.raises(ValueError, match="needs targets"):
        images = model.preprocess_image(batch())
        model.roi_heads(images, model.backbone(images.tensor), [])


@pytest.mark.parametrize("num_classes", [1, 1000])
@pytest.mark.parametrize("kind", GRID_HEADS)
def test_any_number_of_classes(kind: str, num_classes: int) -> None:
    model = built(config(kind, num_classes))
    last = num_classes - 1
    inputs = [sample(64, 64, [[8.0, 8.0, 40.0, 44.0]], [last]), sample(40, 64, [], seed=1)]
    losses = model(inputs)
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    model.eval()
    with torch.no_grad():
        found = [result["instances"] for result in model(inputs)]
    assert all(0 < len(instances) <= 100 for instances in found)
    assert all(0 <= instances.pred_classes.min() <= instances.pred_classes.max() <= last for instances in found)


@pytest.mark.parametrize(("kind", "num_classes"), zip(GRID_HEADS, (1, 2, 1000, 1), strict=True))
def test_exports_with_free_batch_height_and_width(kind: str, num_classes: int) -> None:
    torch.manual_seed(0)
    layers = [conv_bn_act(3, 8, kernel_size=8, stride=8, padding=0), *(conv_bn_act(8, 8, stride=2) for _ in range(2))]
    backbone = StagedBackbone(layers, {f"res{3 + i}": (i, 8, 8 << i) for i in range(3)}, ["res3", "res4", "res5"])
    settings = GridHeadSettings(kind, num_classes, hidden_channels=8, anchors=COCO_P5)
    network = BackboneNetwork(backbone, lambda channels, strides: build_grid_head(channels, strides, settings))
    model = TraceableYOLO(
        YOLO(
            network=network,
            criterion=nn.Identity(),
            postprocessing=Postprocessing(),
            pixel_mean=[0.0] * 3,
            pixel_std=[255.0] * 3,
        )
    ).eval()
    dynamic = {axis: torch.export.Dim.DYNAMIC for axis in (0, 2, 3)}
    with torch.no_grad():
        program = torch.export.export(model, (torch.rand(2, 3, 64, 96) * 255,), dynamic_shapes=(dynamic,)).module()
        for shape in ((1, 3, 96, 64), (3, 3, 70, 90)):
            image = torch.rand(shape) * 255
            for got, expected in zip(program(image), model(image), strict=True):
                torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_blank_images_and_images_without_pixels() -> None:
    model = built(config())
    model.eval()
    with torch.no_grad():
        for value in (0, 255):
            image = torch.full((3, 50, 70), value, dtype=torch.uint8)
            found = model([{"image": image}])[0]["instances"]
            assert found.pred_boxes.tensor.isfinite().all()
            assert found.image_size == (50, 70)
        for shape in ((3, 0, 0), (3, 0, 64)):
            with pytest.raises(ValueError, match="no pixel"):
                model([{"image": torch.zeros(shape)}])


def test_anchors_stand_around_the_middle_of_cells() -> None:
    cfg = read_config("")
    cfg.MODEL.ANCHOR_GENERATOR.NAME = "YOLOAnchorGenerator"
    cfg.MODEL.YOLO.ANCHORS = [[[10, 20], [30, 6]], [[40, 40], [80, 16]]]
    generator = build_anchor_generator(cfg, [ShapeSpec(stride=8), ShapeSpec(stride=16)])
    assert isinstance(generator, YOLOAnchorGenerator)
    assert generator.num_anchors == [2, 2]
    first, second = generator([torch.zeros(1, 4, 2, 3), torch.zeros(1, 4, 1, 1)])
    # Cell (row 1, column 2): middle at (20, 12).
    torch.testing.assert_close(first.tensor[-2:], torch.tensor([[15.0, 2, 25, 22], [5, 9, 35, 15]]))
    torch.testing.assert_close(second.tensor, torch.tensor([[-12.0, -12, 28, 28], [-32, 0, 48, 16]]))
    assert anchor_shapes(generator) == (((10, 20), (30, 6)), ((40, 40), (80, 16)))
    assert default_anchors([8, 16, 32]) is COCO_P5
    assert default_anchors([16, 32]) is TINY


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"MODEL__YOLO__HEAD__KIND": "anchor"}, "'anchor'; allowed are anchor_free_dfl"),
        ({"MODEL__YOLO__HEAD__REG_MAX": 0}, "REG_MAX is 0"),
        ({"MODEL__YOLO__HEAD__IN_FEATURES": ["p3"]}, "IN_FEATURES names 'p3', but the feature maps are res3, res4"),
        (
            {"MODEL__YOLO__HEAD__IN_FEATURES": ["res4", "res3"]},
            r"from fine to coarse maps; their strides are \(16, 8\)",
        ),
        ({"MODEL__YOLO__HEAD__IN_FEATURES": ["res3", "res5"]}, r"no published anchors for strides \(8, 32\)"),
        ({"MODEL__YOLO__FAMILY": "yolov8", "MODEL__YOLO__ANCHORS": [[[1, 1]]]}, "has no anchors"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        built(config(**{"kind": "anchor_based", **settings}))
