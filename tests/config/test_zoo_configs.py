from pathlib import Path

import pytest

from detectron2.config import get_cfg
from detectron2.data import MetadataCatalog
from tests.config.test_defaults import flatten, plain
from tests.facts import fact

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml"))
ZOO = fact("zoo_configs")


def load(path):
    cfg = get_cfg()
    cfg.merge_from_file(str(ROOT / path))
    return cfg


@pytest.mark.parametrize("path", [path for path in FILES if path in ZOO])
def test_what_a_zoo_config_changes(path):
    defaults, resolved = flatten(get_cfg()), flatten(load(path))
    changed = {key: value for key, value in resolved.items() if value != defaults[key]}
    assert changed == {key: plain(value) for key, value in ZOO[path].items()}
    assert all(type(resolved[key]) is type(plain(value)) for key, value in ZOO[path].items())


def test_every_zoo_config_of_these_models_is_here():
    folders = ("configs/Base-", "configs/COCO-Detection/", "configs/COCO-InstanceSegmentation/")
    assert {path for path in ZOO if path.startswith(folders)} <= set(FILES)


@pytest.mark.parametrize("path", [path for path in FILES if path not in ZOO])
def test_own_configs_load(path):
    load(path)


QUICK = [path for path in FILES if path.startswith("configs/quick_start/") and "Base-" not in path]


@pytest.mark.parametrize("path", QUICK)
def test_quick_start(path):
    cfg = load(path)
    resnet = cfg.MODEL.RESNETS
    assert (resnet.DEPTH, resnet.RES2_OUT_CHANNELS, resnet.NORM, cfg.MODEL.BACKBONE.FREEZE_AT) == (18, 64, "BN", 0)
    assert (cfg.MODEL.FPN.OUT_CHANNELS, cfg.MODEL.DEVICE, cfg.SEED) == (64, "auto", 1)
    assert cfg.SOLVER.STEPS == (int(cfg.SOLVER.MAX_ITER * 0.7), int(cfg.SOLVER.MAX_ITER * 0.9))
    data = Path(path).stem.rsplit("_", 1)[1]
    names = (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)
    assert names == (f"{data}_train", f"{data}_val")
    if data == "shapes":
        classes = len(MetadataCatalog.get(names[0]).thing_classes)
    else:
        classes = 3
        assert tuple(entry[0] for entry in cfg.DATASETS.COCO_INSTANCES) == names
    section = cfg.MODEL.RETINANET if cfg.MODEL.META_ARCHITECTURE == "RetinaNet" else cfg.MODEL.ROI_HEADS
    assert section.NUM_CLASSES == classes
    assert min(min(sizes) for sizes in cfg.MODEL.ANCHOR_GENERATOR.SIZES) == 16
