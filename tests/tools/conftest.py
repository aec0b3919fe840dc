"""A few generated pictures, registered through the config, and shrunk quick-start configs."""

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from datasets.shapes import write_splits
from detectron2.utils.logger import setup_logger

REPO = Path(__file__).resolve().parents[2]
QUICK_START = REPO / "configs" / "quick_start"


@dataclass(frozen=True)
class Shapes:
    """Generated data: the folder, and config overrides that use it with a small model on the CPU."""

    root: Path
    options: tuple[str, ...]

    def file(self, split: str) -> str:
        return str(self.root / "annotations" / f"instances_{split}.json")


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    root = tmp_path_factory.mktemp("shapes")
    write_splits(root, train=6, val=2, size=(96, 64))
    instances = [
        (f"tools_shapes_{s}", str(root / "annotations" / f"instances_{s}.json"), str(root / s))
        for s in ("train", "val")
    ]
    options = {
        "DATASETS.COCO_INSTANCES": instances,
        "DATASETS.TRAIN": ("tools_shapes_train",),
        "DATASETS.TEST": ("tools_shapes_val",),
        "DATALOADER.NUM_WORKERS": 0,
        "SOLVER.IMS_PER_BATCH": 2,
        "MODEL.DEVICE": "cpu",
        "MODEL.FPN.OUT_CHANNELS": 32,
        "INPUT.MIN_SIZE_TRAIN": (64,),
        "INPUT.MIN_SIZE_TEST": 64,
        "TEST.DETECTIONS_PER_IMAGE": 5,
        "SEED": 3,
    }
    return Shapes(root, tuple(str(part) for pair in options.items() for part in pair))


@pytest.fixture(autouse=True)
def fresh_console_log():
    """Tools write to the console through the package's logger: let each test see its own, and leave none behind."""
    logger = logging.getLogger("detectron2")
    handlers, propagate = logger.handlers[:], logger.propagate
    setup_logger.cache_clear()
    yield
    setup_logger.cache_clear()
    logger.handlers[:], logger.propagate = handlers, propagate


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
