"""Registered data sets as lists: filters, joins, proposals and what is said about mistakes."""

import logging
import pickle

import numpy as np
import pytest
import torch

from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_test_loader, build_detection_train_loader
from detectron2.data.build import (
    _build_weighted_sampler,
    _get_train_datasets_repeat_factors,
    _train_loader_from_config,
    filter_images_with_few_keypoints,
    filter_images_with_only_crowd_annotations,
    get_detection_dataset_dicts,
    load_proposals_into_dataset,
    print_instances_class_histogram,
)
from detectron2.structures import BoxMode


def record(image_id, classes=(), crowd=0, **more):
    annotations = [
        {"bbox": [0, 0, 5, 5], "bbox_mode": BoxMode.XYXY_ABS, "category_id": c, "iscrowd": crowd} for c in classes
    ]
    return {
        "file_name": f"{image_id}.jpg",
        "image_id": image_id,
        "width": 8,
        "height": 6,
        "annotations": annotations,
        **more,
    }


@pytest.fixture
def register():
    names = []

    def add(name, records, classes=("cat", "dog")):
        DatasetCatalog.register(name, lambda: records)
        MetadataCatalog.get(name).thing_classes = list(classes)
        names.append(name)
        return name

    yield add
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture
def two(register):
    register("pets_a", [record(1, [0]), record(2), record(3, [1, 1])])
    register("pets_b", [record(4, [0], crowd=1), record(5, [0, 1])])
    return ["pets_a", "pets_b"]


def ids(dicts):
    return [d["image_id"] for d in dicts]


def test_joins_and_filters(two):
    assert ids(get_detection_dataset_dicts(two)) == [1, 3, 5]
    assert ids(get_detection_dataset_dicts(two, filter_empty=False)) == [1, 2, 3, 4, 5]
    assert ids(get_detection_dataset_dicts("pets_b")) == [5]


def test_images_without_annotation_fields_stay(register):
    register("bare", [{"file_name": "1.jpg", "image_id": 1}])
    assert ids(get_detection_dataset_dicts("bare")) == [1]


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ([], ValueError, "DATASETS.TRAIN"),
        (["pets_c"], KeyError, "pets_c.*pets_a"),
        (["pets_a", "none"], ValueError, "none.*empty"),
        (["negatives"], ValueError, "negatives.*2 images.*DATALOADER.FILTER_EMPTY_ANNOTATIONS"),
        (["pets_a", "birds"], ValueError, "thing_classes"),
        (["beyond"], ValueError, "7.jpg.*category_id 2"),
    ],
)
def test_mistakes(two, register, names, error, message):
    register("none", [])
    register("negatives", [record(1), record(2)])
    register("birds", [record(6, [0])], classes=("owl",))
    register("beyond", [record(7, [2])])
    with pytest.raises(error, match=message):
        get_detection_dataset_dicts(names)


def test_few_keypoints(register):
    def points(image_id, visible):
        sample = record(image_id, [0])
        sample["annotations"][0]["keypoints"] = [1, 1, 2] * visible + [0, 0, 0]
        return sample

    dicts = [points(1, 0), points(2, 2), record(3, [0])]
    assert ids(filter_images_with_few_keypoints(dicts, 2)) == [2]
    register("poses", dicts)
    with pytest.raises(ValueError, match="poses.*MIN_KEYPOINTS_PER_IMAGE"):
        get_detection_dataset_dicts("poses", min_keypoints=3)


def test_crowds_only_are_left_out():
    dicts = [record(1, [0], crowd=1), record(2, [0]), record(3)]
    assert ids(filter_images_with_only_crowd_annotations(dicts)) == [2]


def test_histogram_counts_without_crowds(caplog):
    dicts = [record(1, [0, 0, 3]), record(2, [3] * 117), record(3, [1], crowd=1)]
    with caplog.at_level(logging.INFO):
        print_instances_class_histogram(dicts, ["ant", "bee", "cow", "dog"])
    cells = caplog.text.split()
    assert [cells[cells.index(n) + 1] for n in ("ant", "bee", "cow", "dog", "all")] == ["2", "0", "0", "118", "120"]


def test_proposals(tmp_path, two):
    path = tmp_path / "proposals.pkl"
    boxes = np.array([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]], dtype=np.float32)
    content = {"indexes": [5, 4, "1"], "boxes": [boxes, boxes[:0], boxes], "scores": [np.array([0.1, 0.3, 0.2])] * 3}
    content["scores"][1] = np.zeros(0)
    path.write_bytes(pickle.dumps(content))
    dicts = load_proposals_into_dataset([record(1), record(4)], str(path))
    assert dicts[0]["proposal_boxes"].tolist() == boxes[[1, 2, 0]].tolist()
    assert dicts[0]["proposal_objectness_logits"].tolist() == [0.3, 0.2, 0.1]
    assert dicts[0]["proposal_bbox_mode"] == BoxMode.XYXY_ABS and dicts[1]["proposal_boxes"].shape == (0, 4)
    with pytest.raises(KeyError, match="proposals.pkl.*image 2"):
        get_detection_dataset_dicts(["pets_a"], proposal_files=[str(path)])
    with pytest.raises(ValueError, match="1 proposal files for 2"):
        get_detection_dataset_dicts(two, proposal_files=[str(path)])
    path.write_bytes(pickle.dumps({"ids": [], "boxes": []}))
    with pytest.raises(KeyError, match="objectness_logits"):
        load_proposals_into_dataset([], str(path))


class Evil:
    def __reduce__(self):
        return print, ("called",)


def test_proposals_cannot_run_code(tmp_path, capsys):
    path = tmp_path / "proposals.pkl"
    path.write_bytes(pickle.dumps({"ids": Evil()}))
    with pytest.raises(ValueError, match="print"):
        load_proposals_into_dataset([], str(path))
    assert "called" not in capsys.readouterr().out


def test_torch_data_sets_may_be_registered(register):
    for name in ("numbers_a", "numbers_b"):
        register(name, torch.utils.data.TensorDataset(torch.arange(3)))
    assert len(get_detection_dataset_dicts("numbers_a")) == 3
    assert len(get_detection_dataset_dicts(["numbers_a", "numbers_b"])) == 6
    register("list", [record(1)])
    with pytest.raises(ValueError, match="mixed"):
        get_detection_dataset_dicts(["numbers_a", "list"])


def config(names):
    cfg = get_cfg()
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = tuple(names)
    cfg.SOLVER.IMS_PER_BATCH = 2
    cfg.DATALOADER.NUM_WORKERS = 0
    return cfg


def test_loaders_from_a_config(two):
    cfg = config(two)
    batch = next(iter(build_detection_train_loader(cfg, mapper=lambda r: r)))
    assert len(batch) == 2 and {r["image_id"] for r in batch} <= {1, 3, 5}
    test = build_detection_test_loader(cfg, two, mapper=lambda r: r["image_id"])
    assert list(test) == [[1], [2], [3], [4], [5]]
    assert list(build_detection_test_loader(cfg, "pets_b", mapper=lambda r: r["image_id"], batch_size=2)) == [[4, 5]]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("TrainingSampler", "TrainingSampler"),
        ("RepeatFactorTrainingSampler", "RepeatFactorTrainingSampler"),
        ("RandomSubsetTrainingSampler", "RandomSubsetTrainingSampler"),
        ("WeightedTrainingSampler", "RepeatFactorTrainingSampler"),
        ("WeightedCategoryTrainingSampler", "RepeatFactorTrainingSampler"),
    ],
)
def test_samplers_of_the_config(two, name, kind):
    cfg = config(two)
    cfg.DATALOADER.SAMPLER_TRAIN = name
    cfg.DATALOADER.RANDOM_SUBSET_RATIO = 0.5
    arguments = _train_loader_from_config(cfg)
    assert type(arguments["sampler"]).__name__ == kind and len(arguments["dataset"]) == 3


@pytest.mark.parametrize(("name", "message"), [("Training", "SAMPLER_TRAIN"), ("RandomSubsetTrainingSampler", "RATIO")])
def test_unknown_samplers(two, name, message):
    cfg = config(two)
    cfg.DATALOADER.SAMPLER_TRAIN = name
    with pytest.raises(ValueError, match=message):
        _train_loader_from_config(cfg)


def test_weights_of_data_sets(two):
    cfg = config(two)
    assert _get_train_datasets_repeat_factors(cfg) == {"pets_a": 1.0, "pets_b": 1.0}
    cfg.DATASETS.TRAIN_REPEAT_FACTOR = [("pets_b", 2.5)]
    assert _get_train_datasets_repeat_factors(cfg) == {"pets_a": 1.0, "pets_b": 2.5}
    assert _build_weighted_sampler(cfg)._rep_factors.tolist() == [1.0, 1.0, 2.5]
    cfg.DATALOADER.REPEAT_THRESHOLD = 2.0
    cfg.DATALOADER.REPEAT_SQRT = False
    assert _build_weighted_sampler(cfg, enable_category_balance=True)._rep_factors.tolist() == [4.0, 4.0, 5.0]
    for wrong in ([("pets_x", 2.0)], ["pets_a"]):
        cfg.DATASETS.TRAIN_REPEAT_FACTOR = wrong
        with pytest.raises(ValueError, match="TRAIN_REPEAT_FACTOR"):
            _get_train_datasets_repeat_factors(cfg)
