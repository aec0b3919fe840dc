import json

import pytest
import torch

from detectron2.config import get_cfg
from detectron2.data.catalog import DatasetCatalog, MetadataCatalog
from detectron2.engine.preflight import check_config, register_configured_datasets
from detectron2.modeling import META_ARCH_REGISTRY

CLASSES = ("RBC", "WBC", "Platelets")


@pytest.fixture
def datasets(tmp_path):
    """Registers data sets under a prefix and forgets them after the test."""
    names = []

    def register(name, **metadata):
        names.append(name)
        DatasetCatalog.register(name, list)
        MetadataCatalog.get(name).set(**metadata)
        return name

    register("preflight_train", thing_classes=list(CLASSES))
    register("preflight_val", thing_classes=list(CLASSES))
    yield register
    for name in [name for name in DatasetCatalog.list() if name in names or name.startswith("preflight_")]:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def config(architecture="GeneralizedRCNN", num_classes=3, **overrides):
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = architecture
    cfg.DATASETS.TRAIN = ("preflight_train",)
    cfg.DATASETS.TEST = ("preflight_val",)
    for section in (cfg.MODEL.ROI_HEADS, cfg.MODEL.RETINANET, cfg.MODEL.FCOS):
        section.NUM_CLASSES = num_classes
    for key, value in overrides.items():
        *sections, last = key.split("__")
        node = cfg
        for section in sections:
            node = node[section]
        node[last] = value
    return cfg


def test_a_good_config_passes(datasets):
    cfg = config()
    assert check_config(cfg) is cfg


def test_bare_names_become_tuples_also_when_frozen(datasets):
    cfg = config(DATASETS__TRAIN="preflight_train", DATASETS__TEST=["preflight_val"])
    cfg.freeze()
    check_config(cfg)
    assert (cfg.DATASETS.TRAIN, cfg.DATASETS.TEST) == (("preflight_train",), ("preflight_val",))
    assert cfg.is_frozen()


@pytest.mark.parametrize("key", ["TRAIN", "TEST"])
def test_unregistered_data_set_lists_near_ones(datasets, key):
    with pytest.raises(
        KeyError, match=f"DATASETS.{key}: data set 'preflight_trian' is not registered. .*preflight_train"
    ):
        check_config(config(**{f"DATASETS__{key}": ("preflight_trian",)}))


@pytest.mark.parametrize(
    "architecture, key",
    [
        ("GeneralizedRCNN", "MODEL.ROI_HEADS.NUM_CLASSES"),
        ("RetinaNet", "MODEL.RETINANET.NUM_CLASSES"),
        ("FCOS", "MODEL.FCOS.NUM_CLASSES"),
    ],
)
def test_num_classes_that_disagrees(datasets, architecture, key):
    message = rf"{key} is 80, but data set 'preflight_train' has 3 classes \(RBC, WBC, Platelets\): set {key} to 3"
    with pytest.raises(ValueError, match=message):
        check_config(config(architecture, num_classes=80))
    check_config(config(architecture, num_classes=3))


@pytest.mark.parametrize("architecture", ["ProposalNetwork", "MyOwnDetector"])
def test_num_classes_is_not_judged_where_it_is_not_known(datasets, architecture):
    check_config(config(architecture, num_classes=80))


def test_an_architecture_of_a_project_says_where_its_number_of_classes_is(datasets, monkeypatch):
    class Judged(torch.nn.Module):
        num_classes_key = "MODEL.FCOS.NUM_CLASSES"

    class ReadsAnotherKey(Judged):
        pass

    for made in (Judged, ReadsAnotherKey):
        monkeypatch.setitem(META_ARCH_REGISTRY._obj_map, made.__name__, made)
    with pytest.raises(ValueError, match="FCOS.NUM_CLASSES is 80"):
        check_config(config("Judged", num_classes=80))
    check_config(config("ReadsAnotherKey", num_classes=80))


def test_classes_are_read_from_the_annotation_file(datasets, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"categories": [{"id": 1, "name": "one"}, {"id": 5, "name": "two"}]}))
    datasets("preflight_json", json_file=str(path))
    with pytest.raises(ValueError, match=r"'preflight_json' has 2 classes \(one, two\)"):
        check_config(config(DATASETS__TRAIN=("preflight_json",)))
    path.write_text("{broken")
    check_config(config(DATASETS__TRAIN=("preflight_json",)))


@pytest.mark.parametrize("weights", ["none.pth", "none.pkl?matching_heuristics=True", "nonsense://x.pth"])
def test_missing_weights(datasets, weights):
    with pytest.raises(FileNotFoundError, match=f"MODEL.WEIGHTS: {weights.split('?')[0]} does not exist"):
        check_config(config(MODEL__WEIGHTS=weights))


def test_weights_that_are_there_or_remote(datasets, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"")
    for weights in (
        str(tmp_path / "w.pth"),
        f"{tmp_path}/w.pth?matching_heuristics=True",
        "https://example.org/w.pth",
        "detectron2://ImageNetPretrained/MSRA/R-50.pkl",
        "catalog://ImageNetPretrained/FAIR/R-50-GN",
    ):
        check_config(config(MODEL__WEIGHTS=weights))


def test_a_resumed_run_does_not_need_the_first_weights(datasets, tmp_path):
    cfg = config(MODEL__WEIGHTS="none.pth", OUTPUT_DIR=str(tmp_path))
    with pytest.raises(FileNotFoundError):
        check_config(cfg, resume=True)
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    check_config(cfg, resume=True)
    with pytest.raises(FileNotFoundError):
        check_config(cfg)


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"MODEL__DEVICE": "cuda:63"}, "MODEL.DEVICE 'cuda:63' is not there.*'auto'"),
        ({"MODEL__DEVICE": "gpu"}, "MODEL.DEVICE 'gpu' is not a device"),
        ({"SOLVER__AMP__PRECISION": "float8"}, "SOLVER.AMP.PRECISION is 'float8'.*float16, bfloat16"),
        ({"SOLVER__ACCUMULATION_STEPS": 0}, "SOLVER.ACCUMULATION_STEPS is 0"),
        ({"TEST__EARLY_STOPPING__MODE": "maximum"}, "TEST.EARLY_STOPPING.MODE is 'maximum'"),
        ({"TEST__EARLY_STOPPING__ENABLED": True}, "TEST.EVAL_PERIOD is 0"),
    ],
)
def test_values_that_cannot_work(datasets, overrides, message):
    with pytest.raises(ValueError, match=message):
        check_config(config(**overrides))


@pytest.fixture
def coco(tmp_path):
    (tmp_path / "images").mkdir()
    data = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cell"}]}
    (tmp_path / "a.json").write_text(json.dumps(data))
    return [str(tmp_path / "a.json"), str(tmp_path / "images")]


def test_configured_data_sets_are_registered_once(datasets, coco):
    cfg = config(
        num_classes=1, DATASETS__COCO_INSTANCES=(("preflight_own", *coco),), DATASETS__TRAIN=("preflight_own",)
    )
    cfg.DATASETS.TEST = ()
    register_configured_datasets(cfg)
    register_configured_datasets(cfg)
    assert MetadataCatalog.get("preflight_own").json_file == coco[0]
    check_config(cfg)


def test_configured_data_sets_from_the_command_line(datasets, coco):
    cfg = config()
    cfg.merge_from_list(["DATASETS.COCO_INSTANCES", f"[('preflight_cli', '{coco[0]}', '{coco[1]}')]"])
    register_configured_datasets(cfg)
    assert "preflight_cli" in DatasetCatalog.list()


@pytest.mark.parametrize(
    "entry, error, message",
    [
        (("preflight_x", "{json}"), ValueError, "not a triple"),
        ("preflight_x", ValueError, "not a triple"),
        (("preflight_x", "none.json", "{images}"), FileNotFoundError, "json file of 'preflight_x', none.json"),
        (("preflight_x", "{json}", "none"), FileNotFoundError, "image folder of 'preflight_x', none"),
        (("preflight_train", "{json}", "{images}"), ValueError, "'preflight_train' is already registered"),
    ],
)
def test_configured_data_sets_that_cannot_work(datasets, coco, entry, error, message):
    if not isinstance(entry, str):
        entry = tuple(part.format(json=coco[0], images=coco[1]) for part in entry)
    with pytest.raises(error, match=message):
        register_configured_datasets(config(DATASETS__COCO_INSTANCES=(entry,)))
