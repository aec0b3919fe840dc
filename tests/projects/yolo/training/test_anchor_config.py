"""Anchors found for the training data reach the model, its loss, its config and its checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.trainer import YOLOTrainer
from detectron2.projects.yolo.training import with_auto_anchors
from detectron2.projects.yolo.training.auto_anchor import best_possible_recall, box_sizes

from datasets.shapes import write_splits
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.engine.command import setup_command
from detectron2.modeling import build_model
from detectron2.projects import read_config
from tests.projects.yolo.test_meta_arch import batch
from tests.projects.yolo.test_train import arguments

RATIO = 1.5  # few objects are that close to a published anchor
AUTO = (
    *("MODEL.YOLO.TRAINING.AUTO_ANCHOR.ENABLED", "True"),
    *("MODEL.YOLO.TRAINING.AUTO_ANCHOR.GENERATIONS", "20"),
    *("MODEL.YOLO.LOSS.ANCHOR_BASED.ANCHOR_RATIO", str(RATIO)),
)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("anchor_shapes")
    write_splits(folder, train=8, val=2, size=(64, 48))
    return folder


def config(shapes: Path, output: Path, *options: str) -> CfgNode:
    return setup_command(arguments("yolov5n.yaml", shapes, output, *AUTO, *options))


def test_they_reach_model_loss_config_and_checkpoint(shapes: Path, tmp_path: Path) -> None:
    cfg = config(shapes, tmp_path)
    trainer = YOLOTrainer(cfg)
    found = trainer.cfg.MODEL.YOLO.ANCHORS
    sizes = box_sizes(DatasetCatalog.get("yolo_train"), (64, 64))
    assert np.shape(found) == (3, 3, 2)
    published = build_model(cfg).network.anchors
    before, after = (best_possible_recall(sizes, np.reshape(anchors, (-1, 2)), RATIO) for anchors in (published, found))
    assert before < after
    head = trainer.model.network.head
    np.testing.assert_allclose(head.anchors, found)
    assert [list(level) for level in trainer.model.criterion.matcher.anchors] == [list(level) for level in head.anchors]
    assert trainer.cfg.is_frozen()
    log = (tmp_path / "log.txt").read_text()
    assert "Given anchors fit" in log
    assert "Chosen anchors fit" in log

    trainer.checkpointer.save("model_final")
    state = torch.load(tmp_path / "model_final.pth", weights_only=True)["model"]
    np.testing.assert_allclose(state["network.head.anchor_sizes"].numpy(), found, rtol=1e-6)
    for quantized in (False, True):
        # The config of the command line, whose anchors are the published ones.
        plain = cfg.clone()
        plain.defrost()
        plain.MODEL.QUANTIZATION.ENABLED = quantized
        model = build_model(plain)
        assert model.network.anchors == published
        DetectionCheckpointer(model).load(str(tmp_path / "model_final.pth"))
        np.testing.assert_allclose(model.network.anchors, found, rtol=1e-6)
        np.testing.assert_allclose(model.criterion.matcher.anchors, found, rtol=1e-6)
        assert "network.head.anchor_sizes" in model.state_dict()


def test_anchors_of_the_config_stay(tmp_path: Path) -> None:
    cfg = read_config("projects/YOLO/configs/yolov5n.yaml", ["MODEL.DEVICE", "cpu"])
    published = build_model(cfg).state_dict()
    assert "network.head.anchor_sizes" not in published
    own = [[[float(10 * level + index), 20.0] for index in (1, 2, 3)] for level in range(3)]
    cfg.MODEL.YOLO.ANCHORS = own
    model = build_model(cfg)
    missing, unexpected = model.load_state_dict(published, strict=False)
    assert (missing, unexpected) == ([], [])
    other = {**published, "network.head.anchor_sizes": torch.ones(3, 3, 2)}
    model.load_state_dict(other)
    np.testing.assert_allclose(model.network.anchors, own)
    np.testing.assert_allclose(model.state_dict()["network.head.anchor_sizes"].numpy(), own)


@pytest.mark.parametrize("anchors", [[[[1, 2]] * 3] * 2, [[[1, 2]], [[1, 2]] * 2, [[1, 2]]], [[[0, 2]] * 3] * 3])
def test_wrong_anchors_are_named(anchors: list) -> None:
    cfg = read_config("projects/YOLO/configs/yolov5n.yaml", ["MODEL.DEVICE", "cpu"])
    cfg.MODEL.YOLO.ANCHORS = anchors
    with pytest.raises(ValueError, match=r"MODEL\.YOLO\.ANCHORS"):
        build_model(cfg)


def test_it_does_nothing_where_there_is_nothing_to_do(shapes: Path, tmp_path: Path) -> None:
    cfg = config(shapes, tmp_path, "MODEL.YOLO.TRAINING.AUTO_ANCHOR.LEAST_RECALL", "0.0")
    assert with_auto_anchors(cfg) is cfg
    for family in ("yolov8", "yolov5"):
        free = cfg.clone()
        free.defrost()
        free.MODEL.YOLO.FAMILY = family
        free.MODEL.YOLO.TRAINING.AUTO_ANCHOR.ENABLED = family == "yolov8"
        assert with_auto_anchors(free) is free


def test_inside_of_rcnn(shapes: Path, tmp_path: Path) -> None:
    options = ("DATALOADER.FILTER_EMPTY_ANNOTATIONS", "False")
    cfg = setup_command(arguments("backbones/rcnn_R_18_FPN.yaml", shapes, tmp_path, *AUTO, *options))
    found = with_auto_anchors(cfg)
    model = build_model(found)
    np.testing.assert_allclose(model.roi_heads.head.anchors, found.MODEL.YOLO.ANCHORS)
    assert model.roi_heads.head.anchor_sizes is not None
    model.load_state_dict(model.state_dict())
    sum(model(batch()).values()).backward()
    other = cfg.clone()
    other.defrost()
    other.MODEL.ANCHOR_GENERATOR.NAME = "DefaultAnchorGenerator"
    other.MODEL.ANCHOR_GENERATOR.SIZES = [[8, 16], [32, 64], [128, 256]]
    other.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS = [[1.0]]
    assert build_model(other).roi_heads.head.anchors[1] == ((32.0, 32.0), (64.0, 64.0))
    with pytest.raises(ValueError, match="DefaultAnchorGenerator"):
        with_auto_anchors(other)
