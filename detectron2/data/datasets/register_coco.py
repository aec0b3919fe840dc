"""Former place of the COCO registration, kept for projects that import it."""

from .coco import register_coco_instances

__all__ = ["register_coco_instances"]
