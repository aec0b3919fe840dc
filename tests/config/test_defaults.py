import pytest

from detectron2.config import CfgNode, get_cfg
from detectron2.config.defaults import _C
from detectron2.config.keys import has_key
from tests.facts import fact, golden_model_yaml

EXTRA_KEYS = {
    "SOLVER.ACCUMULATION_STEPS": 1,
    "SOLVER.AMP.PRECISION": "float16",
    "TEST.EARLY_STOPPING.ENABLED": False,
    "TEST.EARLY_STOPPING.METRIC": "bbox/AP",
    "TEST.EARLY_STOPPING.MODE": "max",
    "TEST.EARLY_STOPPING.PATIENCE": 5,
    "TEST.EARLY_STOPPING.MIN_DELTA": 0.0,
    "TEST.VAL_LOSS.ENABLED": False,
    "TEST.VAL_LOSS.MAX_ITER": 0,
    "DATASETS.COCO_INSTANCES": (),
    "MODEL.FCOS.NUM_CLASSES": 80,
    "MODEL.FCOS.IN_FEATURES": ["p3", "p4", "p5", "p6", "p7"],
    "MODEL.FCOS.NUM_CONVS": 4,
    "MODEL.FCOS.NORM": "GN",
    "MODEL.FCOS.CENTER_SAMPLING_RADIUS": 1.5,
    "MODEL.FCOS.FOCAL_LOSS_ALPHA": 0.25,
    "MODEL.FCOS.FOCAL_LOSS_GAMMA": 2.0,
    "MODEL.FCOS.SCORE_THRESH_TEST": 0.2,
    "MODEL.FCOS.TOPK_CANDIDATES_TEST": 1000,
    "MODEL.FCOS.NMS_THRESH_TEST": 0.6,
    # Of the quantization fork.
    "MODEL.FPN.USE_RELU": False,
    "MODEL.RPN.HEAD_NORM": "",
    "SOLVER.PRINT_PERIOD": 20,
    "MODEL.QUANTIZATION.ENABLED": False,
    "MODEL.QUANTIZATION.BATCH_NORM": "float",
    "MODEL.QUANTIZATION.WEIGHT_STANDARDIZATION": False,
    "MODEL.QUANTIZATION.BACKBONE_WEIGHTS": "",
    "MODEL.QUANTIZATION.RULES": [],
    "MODEL.QUANTIZATION.SCHEDULE": [],
    "MODEL.QUANTIZATION.WEIGHT.METHOD": "lsq",
    "MODEL.QUANTIZATION.WEIGHT.BITS": 8,
    "MODEL.QUANTIZATION.WEIGHT.GRANULARITY": "channel",
    "MODEL.QUANTIZATION.ACTIVATION.METHOD": "lsq",
    "MODEL.QUANTIZATION.ACTIVATION.BITS": 8,
    "MODEL.QUANTIZATION.ACTIVATION.GRANULARITY": "tensor",
    "MODEL.QUANTIZATION.ELEMENTWISE.ENABLED": True,
    "MODEL.QUANTIZATION.ELEMENTWISE.METHOD": "lsq",
    "MODEL.QUANTIZATION.ELEMENTWISE.BITS": 8,
}


def flatten(cfg, prefix=""):
    flat = {}
    for key, value in cfg.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, CfgNode) else {prefix + key: value})
    return flat


def plain(value):
    """A fact's value with its tuples restored."""
    if isinstance(value, dict):
        return tuple(plain(item) for item in value["__tuple__"])
    return [plain(item) for item in value] if isinstance(value, list) else value


def test_all_keys_values_and_types():
    ours = flatten(get_cfg())
    known = fact("config_defaults_flat")
    assert len(known) == 192
    assert set(ours) - set(known) == set(EXTRA_KEYS)
    assert {key: ours[key] for key in EXTRA_KEYS} == EXTRA_KEYS
    for key, entry in known.items():
        assert (ours[key], type(ours[key]).__name__) == (plain(entry["default"]), entry["type"]), key


def test_get_cfg_gives_copies():
    cfg = get_cfg()
    cfg.MODEL.PIXEL_MEAN[0] = -1.0
    cfg.MODEL.RPN.NMS_THRESH = 0.1
    assert get_cfg() == _C
    assert get_cfg().MODEL.PIXEL_MEAN[0] == 103.53


@pytest.mark.parametrize("name", ["faster_rcnn_fpn_tiny", "mask_rcnn_fpn_tiny", "mask_rcnn_c4_tiny", "retinanet_tiny"])
def test_full_dumps_load_and_round_trip(name, tmp_path):
    source, copy = tmp_path / "source.yaml", tmp_path / "copy.yaml"
    source.write_text(golden_model_yaml(name))
    cfg = get_cfg()
    cfg.merge_from_file(str(source))
    assert cfg.MODEL.DEVICE == "cpu"
    copy.write_text(cfg.dump())
    again = get_cfg()
    again.merge_from_file(str(copy))
    assert again == cfg
    for key, value in flatten(again).items():
        assert type(value) is type(flatten(cfg)[key]), key


def test_keys_that_projects_read_are_there():
    missing = [key for key in fact("client_config_keys") if not has_key(get_cfg(), key)]
    assert not missing
