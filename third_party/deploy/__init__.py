"""Detectors as exportable functions of pixels, and what runs their files."""

from . import dense, protocol  # noqa: F401  the forms are registered when imported
from .parts import DetectorParts
from .registry import detector_parts, register_parts
from .selection import PaddedDetections
from .suppression import onnx_translations, suppress

__all__ = [
    "DetectorParts",
    "PaddedDetections",
    "detector_parts",
    "onnx_translations",
    "register_parts",
    "suppress",
]
