"""Segmentation masks in their three forms: polygons, bits on the image, and grids on boxes."""

from detectron2.layers.roi_align import ROIAlign
from detectron2.structures.bit_masks import BitMasks
from detectron2.structures.boxes import Boxes
from detectron2.structures.polygon_masks import PolygonMasks
from detectron2.structures.polygons import polygon_area, polygons_to_bitmask, rasterize_polygons_within_box
from detectron2.structures.roi_masks import ROIMasks
from detectron2.utils.memory import retry_if_cuda_oom

__all__ = [
    "BitMasks",
    "Boxes",
    "PolygonMasks",
    "ROIAlign",
    "ROIMasks",
    "polygon_area",
    "polygons_to_bitmask",
    "rasterize_polygons_within_box",
    "retry_if_cuda_oom",
]
