"""Families of networks as tables."""

from . import yolov3, yolov5, yolov8, yolox
from .registry import FAMILIES, get_family, register_family
from .table import Family, HeadTable, Layout, Row, Scale
