"""A training that was stopped and resumed ends with the same bits as one that was not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.projects.yolo import add_yolo_config
from detectron2.projects.yolo.trainer import YOLOTrainer

from detectron2.config import CfgNode, get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils.env import seed_all_rng

from ..data.drawing import write_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    records = write_dataset(tmp_path_factory.mktemp("images"))
    name = "yolo_resume"
    DatasetCatalog.register(name, lambda: records)
    MetadataCatalog.get(name).set(thing_classes=[str(k) for k in range(len(records))])
    return name


def config(dataset: str, folder: Path, workers: int) -> CfgNode:
    cfg = get_cfg()
    add_yolo_config(cfg)
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "YOLO", "cpu", ""
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = [0.0, 0.0, 0.0], [255.0, 255.0, 255.0]
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (dataset,), ()
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, cfg.SOLVER.WARMUP_ITERS = 2, 4, 2
    cfg.SOLVER.CHECKPOINT_PERIOD = 2
    cfg.INPUT.YOLO.SIZE, cfg.INPUT.YOLO.CLOSE_MOSAIC = [64, 64], 1
    cfg.INPUT.YOLO.MIXUP.PROBABILITY = 0.5
    cfg.INPUT.YOLO.MULTI_SCALE.ENABLED, cfg.INPUT.YOLO.MULTI_SCALE.PERIOD = True, 1
    cfg.MODEL.YOLO.NUM_CLASSES = len(MetadataCatalog.get(dataset).thing_classes)
    cfg.MODEL.YOLO.TRAINING.NOMINAL_BATCH = 4
    cfg.MODEL.YOLO.TRAINING.EMA.TAU = 2.0
    cfg.SEED = 3
    cfg.OUTPUT_DIR = str(folder)
    return cfg


def trained(cfg: CfgNode, stop: int | None = None) -> dict[str, Any]:
    """The last checkpoint, after all iterations or ``stop`` of them."""
    seed_all_rng(cfg.SEED)
    trainer = YOLOTrainer(cfg)
    trainer.resume_or_load(resume=True)
    if stop is not None:
        trainer.max_iter = stop
    trainer.train()
    return torch.load(Path(cfg.OUTPUT_DIR) / "model_final.pth", weights_only=True)


def assert_same(first: Any, second: Any, path: str = "") -> None:
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), path
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            assert_same(first[key], second[key], f"{path}/{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), path
        for index, (a, b) in enumerate(zip(first, second, strict=True)):
            assert_same(a, b, f"{path}/{index}")
    else:
        assert first == second, path


def test_resumed_and_with_workers(dataset: str, tmp_path: Path) -> None:
    whole = trained(config(dataset, tmp_path / "whole", 0))
    trained(config(dataset, tmp_path / "parts", 2), stop=2)
    parts = trained(config(dataset, tmp_path / "parts", 0))
    assert_same(whole, parts)
    hooks = whole["trainer"]["hooks"]
    (average,) = (state for name, state in hooks.items() if name.endswith("EMAHook"))
    assert average["updates"] == 4 and average["holds"] == "weights"
    own = average["tensors"]
    assert any(not torch.equal(own[name], value) for name, value in whole["model"].items())
    assert whole["trainer"]["ranks"][0]["loader"]["consumed"] == 16
