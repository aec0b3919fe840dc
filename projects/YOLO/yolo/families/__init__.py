"""Families of networks as tables."""

from . import darknet_yolov3, yolo11, yolo12, yolo26, yolov3, yolov5, yolov7, yolov8, yolov9, yolov10, yolox
from .registry import FAMILIES, get_family, register_family
from .table import Family, HeadTable, Layout, Row, Scale
