"""A tiny detector with random weights, on generated pictures."""

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from datasets.shapes import write_splits
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.utils.logger import setup_logger
from tests.engine.test_default_trainer import shapes_config


@dataclass(frozen=True)
class Trained:
    """A config, and the file of its weights."""

    cfg: CfgNode
    weights: str
    folder: Path

    def file(self, split: str) -> str:
        return str(self.folder / "annotations" / f"instances_{split}.json")


@pytest.fixture(autouse=True)
def fresh_console_log():
    """The command writes to the console through the package's logger: let each test see its own."""
    logger = logging.getLogger("third_party")
    handlers, propagate = logger.handlers[:], logger.propagate
    setup_logger.cache_clear()
    yield
    setup_logger.cache_clear()
    logger.handlers[:], logger.propagate = handlers, propagate


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Trained:
    folder = tmp_path_factory.mktemp("post_training_shapes")
    write_splits(folder, train=6, val=3, size=(96, 72))
    cfg = shapes_config(folder, folder / "output")
    cfg.DATASETS.COCO_INSTANCES = tuple(
        (name.replace("shapes_test", "ptq_shapes"), *files) for name, *files in cfg.DATASETS.COCO_INSTANCES
    )
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("ptq_shapes_train",), ("ptq_shapes_val",)
    torch.manual_seed(0)
    DetectionCheckpointer(build_model(cfg), str(folder)).save("float")
    return Trained(cfg, str(folder / "float.pth"), folder)
