"""Names of public data sets and where their files are expected; see ``datasets/README.md``."""

import os

from ..catalog import DatasetCatalog, MetadataCatalog
from .builtin_meta import _get_builtin_metadata
from .coco import register_coco_instances

__all__ = ["DatasetCatalog", "MetadataCatalog", "register_all_coco", "register_all_shapes"]

# Name -> (folder of images, annotations), below the root.
_PREDEFINED_SPLITS_COCO = {
    "coco": {
        "coco_2014_train": ("coco/train2014", "coco/annotations/instances_train2014.json"),
        "coco_2014_val": ("coco/val2014", "coco/annotations/instances_val2014.json"),
        "coco_2014_minival": ("coco/val2014", "coco/annotations/instances_minival2014.json"),
        "coco_2014_valminusminival": ("coco/val2014", "coco/annotations/instances_valminusminival2014.json"),
        "coco_2017_train": ("coco/train2017", "coco/annotations/instances_train2017.json"),
        "coco_2017_val": ("coco/val2017", "coco/annotations/instances_val2017.json"),
        "coco_2017_test": ("coco/test2017", "coco/annotations/image_info_test2017.json"),
        "coco_2017_test-dev": ("coco/test2017", "coco/annotations/image_info_test-dev2017.json"),
        "coco_2017_val_100": ("coco/val2017", "coco/annotations/instances_val2017_100.json"),
    }
}
_SPLITS_SHAPES = {
    f"shapes_{split}": (f"shapes/{split}", f"shapes/annotations/instances_{split}.json") for split in ("train", "val")
}


def _register(splits: dict[str, tuple[str, str]], family: str, root: str) -> None:
    for name, (image_root, json_file) in splits.items():
        register_coco_instances(
            name, _get_builtin_metadata(family), os.path.join(root, json_file), os.path.join(root, image_root)
        )


def register_all_coco(root: str) -> None:
    """Registers COCO's splits below ``root``/coco."""
    for family, splits in _PREDEFINED_SPLITS_COCO.items():
        _register(splits, family, root)


def register_all_shapes(root: str) -> None:
    """Registers "shapes_train" and "shapes_val", which ``datasets/shapes.py`` writes to ``root``/shapes."""
    _register(_SPLITS_SHAPES, "shapes", root)


_root = os.path.expanduser(os.getenv("DETECTRON2_DATASETS", "datasets"))
register_all_coco(_root)
register_all_shapes(_root)
