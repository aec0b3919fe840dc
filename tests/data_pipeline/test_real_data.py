"""Real pictures through the loaders: the same batches whatever the workers, and after a resume."""

from itertools import islice

import pytest
import torch

from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_test_loader, build_detection_train_loader
from detectron2.data.datasets import register_coco_instances
from detectron2.data.samplers import TrainingSampler
from tests.facts import shared_path


@pytest.fixture(params=["bccd", "coco128"])
def cfg(request):
    folder = shared_path(f"data/{request.param}")
    name = f"{request.param}_through_the_loader"
    register_coco_instances(name, {}, str(folder / "annotations/instances_train.json"), str(folder / "images/train"))
    cfg = get_cfg()
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = (name,)
    cfg.MODEL.MASK_ON = request.param == "coco128"
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST = (120, 160), 240, 120
    cfg.INPUT.CROP.ENABLED = True
    cfg.SOLVER.IMS_PER_BATCH = 4
    cfg.DATALOADER.NUM_WORKERS = 0
    yield cfg
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


def loader(cfg, workers=0, seed=1):
    cfg.DATALOADER.NUM_WORKERS = workers
    return build_detection_train_loader(cfg, sampler=TrainingSampler(100, seed=seed), seed=seed)


def fingerprint(batch):
    return [(s["file_name"], s["image"].double().sum().item(), s["instances"].gt_boxes.tensor.tolist()) for s in batch]


def test_training_batches(cfg):
    first = loader(cfg)
    batches = [fingerprint(batch) for batch in islice(first, 5)]
    assert [fingerprint(batch) for batch in islice(loader(cfg, workers=2), 5)] == batches
    half = loader(cfg)
    list(islice(half, 3))
    resumed = loader(cfg, workers=1, seed=9)
    resumed.load_state_dict(half.state_dict())
    assert [fingerprint(batch) for batch in islice(resumed, 2)] == batches[3:]


def test_training_samples_are_whole(cfg):
    for sample in next(iter(loader(cfg))):
        instances, image = sample["instances"], sample["image"]
        assert image.dtype == torch.uint8 and image.shape[1:] == instances.image_size
        boxes = instances.gt_boxes.tensor
        assert len(boxes) and (boxes >= 0).all() and (boxes[:, 2:] > boxes[:, :2]).all()
        assert instances.has("gt_masks") == cfg.MODEL.MASK_ON


def test_test_loader(cfg):
    test = build_detection_test_loader(cfg, cfg.DATASETS.TEST[0])
    assert len(test) == len(DatasetCatalog.get(cfg.DATASETS.TEST[0]))
    (sample,) = next(iter(test))
    assert min(sample["image"].shape[1:]) <= 120 and "instances" not in sample
