"""Checks of a config before training: mistakes that would else show late, or never."""

import json
import os
from collections.abc import Sequence

from ..config import CfgNode
from ..config.keys import get_key, near_matches
from ..utils.env import resolve_device
from ..utils.file_io import PathManager
from .value_checks import check_values

__all__ = ["check_config", "register_configured_datasets"]

_ROI_NUM_CLASSES_KEY = "MODEL.ROI_HEADS.NUM_CLASSES"
_ROI_HEADS = ("StandardROIHeads", "Res5ROIHeads", "CascadeROIHeads")

_LARGEST_JSON_READ = 64 * 2**20
"""Bytes of an annotation file that is opened for its class names; larger ones are judged when they are loaded."""


def check_config(cfg: CfgNode, *, resume: bool = False) -> CfgNode:
    """Check what training needs, and make ``DATASETS.TRAIN`` and ``DATASETS.TEST`` tuples of names.

    Args:
        cfg: a whole config; changed in place, also when it is frozen.
        resume: training goes on from the last checkpoint of ``OUTPUT_DIR`` if there is one.

    Returns:
        ``cfg`` itself.

    Raises:
        KeyError: a data set is not registered.
        ValueError: a number of classes disagrees with the data, the device is not there, or a value is not allowed.
        FileNotFoundError: the file of ``MODEL.WEIGHTS`` is missing.
    """
    check_values(cfg)
    _make_names_tuples(cfg)
    for key in ("DATASETS.TRAIN", "DATASETS.TEST"):
        _check_registered(key, get_key(cfg, key))
    _check_num_classes(cfg)
    resolve_device(cfg.MODEL.DEVICE)
    if not (resume and os.path.isfile(os.path.join(cfg.OUTPUT_DIR, "last_checkpoint"))):
        _check_weights(cfg.MODEL.WEIGHTS)
    return cfg


def register_configured_datasets(cfg: CfgNode) -> None:
    """Register every ``(name, json file, image folder)`` of ``DATASETS.COCO_INSTANCES``. May be called again.

    Raises:
        ValueError: an entry is not such a triple, or its name already stands for other files.
        FileNotFoundError: a json file or an image folder is missing.
    """
    from ..data.catalog import DatasetCatalog, MetadataCatalog
    from ..data.datasets.coco import register_coco_instances

    for entry in cfg.DATASETS.COCO_INSTANCES:
        if not (isinstance(entry, (list, tuple)) and len(entry) == 3 and all(isinstance(part, str) for part in entry)):
            raise ValueError(f"DATASETS.COCO_INSTANCES: {entry!r} is not a triple of name, json file and image folder")
        name, json_file, image_root = entry
        if name in DatasetCatalog.list():
            known = MetadataCatalog.get(name)
            if (known.get("json_file"), known.get("image_root")) != (json_file, image_root):
                raise ValueError(f"DATASETS.COCO_INSTANCES: the name '{name}' is already registered for other files")
            continue
        for what, path, there in (
            ("json file", json_file, PathManager.isfile),
            ("image folder", image_root, PathManager.isdir),
        ):
            if not there(path):
                raise FileNotFoundError(f"DATASETS.COCO_INSTANCES: the {what} of '{name}', {path}, does not exist")
        register_coco_instances(name, {}, json_file, image_root)


def _make_names_tuples(cfg: CfgNode) -> None:
    frozen = cfg.is_frozen()
    cfg.defrost()
    for phase in ("TRAIN", "TEST"):
        names = cfg.DATASETS[phase]
        cfg.DATASETS[phase] = (names,) if isinstance(names, str) else tuple(names)
    if frozen:
        cfg.freeze()


def _check_registered(key: str, names: Sequence[str]) -> None:
    from ..data.catalog import DatasetCatalog

    registered = DatasetCatalog.list()
    for name in names:
        if name not in registered:
            similar = near_matches(name, registered)
            hint = f"Did you mean {', '.join(similar)}?" if similar else "No registered name is similar."
            raise KeyError(
                f"{key}: data set '{name}' is not registered. {hint} "
                "Register your own with register_coco_instances or list it in DATASETS.COCO_INSTANCES"
            )


def _class_names(dataset: str) -> list[str] | None:
    """Class names of a registered data set, from its metadata or its annotation file; None if neither tells."""
    from ..data.catalog import MetadataCatalog

    metadata = MetadataCatalog.get(dataset)
    if (names := metadata.get("thing_classes")) is not None:
        return list(names)
    path = metadata.get("json_file")
    if path is None or not os.path.isfile(path) or os.path.getsize(path) > _LARGEST_JSON_READ:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return [category["name"] for category in json.load(file)["categories"]]
    except (ValueError, KeyError, TypeError):
        # A broken file is reported with its line and field where it is loaded.
        return None


def _num_classes_key(cfg: CfgNode) -> str | None:
    """Where the architecture reads its number of classes; None if it does not say."""
    from ..modeling import META_ARCH_REGISTRY

    name = cfg.MODEL.META_ARCHITECTURE
    if name == "GeneralizedRCNN":
        return _ROI_NUM_CLASSES_KEY if cfg.MODEL.ROI_HEADS.NAME in _ROI_HEADS else None
    # Not inherited: a subclass in somebody's project may read another key.
    return vars(META_ARCH_REGISTRY.get(name)).get("num_classes_key") if name in META_ARCH_REGISTRY else None


def _check_num_classes(cfg: CfgNode) -> None:
    key = _num_classes_key(cfg)
    if key is None:
        return
    num_classes = get_key(cfg, key)
    for dataset in dict.fromkeys((*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)):
        names = _class_names(dataset)
        if names is not None and len(names) != num_classes:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise ValueError(
                f"{key} is {num_classes}, but data set '{dataset}' has {len(names)} classes ({shown}): "
                f"set {key} to {len(names)}"
            )


def _check_weights(weights: str) -> None:
    from ..checkpoint import catalog  # noqa: F401  makes catalog:// known to the path manager

    path = weights.split("?", 1)[0]
    if not path:
        return
    try:
        exists = PathManager.isfile(path)
    except NotImplementedError:
        # A handler that cannot tell without a download, such as http: the checkpointer will say.
        return
    if not exists:
        raise FileNotFoundError(
            f"MODEL.WEIGHTS: {path} does not exist; give a file, a URL, or '' to start from random weights"
        )
