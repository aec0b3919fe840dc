"""Families of networks as tables."""

from . import yolov8
from .registry import FAMILIES, get_family, register_family
from .table import Family, HeadTable, Layout, Row, Scale
