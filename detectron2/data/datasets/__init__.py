"""Readers of data set formats, and the built-in names."""

from . import builtin  # noqa: F401  (registers the built-in names)
from .coco import convert_to_coco_json, load_coco_json, load_sem_seg, register_coco_instances

__all__ = ["convert_to_coco_json", "load_coco_json", "load_sem_seg", "register_coco_instances"]
