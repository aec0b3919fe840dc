"""A good data set and a good config, of which each test spoils one thing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detectron2.config import CfgNode
from detectron2.data.datasets import register_coco_instances
from tests.modeling.tiny_models import tiny_config

HEIGHT, WIDTH = 40, 50


def picture(height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def image(**changes: Any) -> dict[str, Any]:
    return {"id": 5, "file_name": "a.png", "height": HEIGHT, "width": WIDTH, **changes}


def annotation(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 5, "category_id": 7, "bbox": [1, 2, 10, 20], "iscrowd": 0, "area": 200, **changes}


def coco(**changes: Any) -> dict[str, Any]:
    categories = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}]
    return {"images": [image()], "annotations": [annotation()], "categories": categories, **changes}


class Dataset:
    """A registered data set of one picture in a folder of its own."""

    def __init__(self, folder: Path, name: str = "bad_inputs") -> None:
        self.name = name
        self.images = folder / "images"
        self.json_file = folder / "annotations.json"
        self.images.mkdir()
        picture().save(self.images / "a.png")
        self.write(coco())

    def write(self, content: Any) -> str:
        if isinstance(content, bytes):
            self.json_file.write_bytes(content)
        else:
            self.json_file.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(self.json_file)

    def register(self, **metadata: Any) -> str:
        register_coco_instances(self.name, metadata, str(self.json_file), str(self.images))
        return self.name

    def config(self, output: Path, model: str = "retinanet_tiny") -> CfgNode:
        """A tiny detector that trains for two iterations on this data set."""
        cfg = tiny_config(model)
        cfg.DATASETS.COCO_INSTANCES = ((self.name, str(self.json_file), str(self.images)),)
        cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (self.name,), (self.name,)
        cfg.MODEL.RETINANET.NUM_CLASSES = cfg.MODEL.ROI_HEADS.NUM_CLASSES = 2
        cfg.MODEL.WEIGHTS, cfg.MODEL.DEVICE = "", "cpu"
        cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST = (64,), 64
        cfg.DATALOADER.NUM_WORKERS = 0
        cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS = 1, 2, ()
        cfg.SEED = 1
        cfg.OUTPUT_DIR = str(output)
        return cfg


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
