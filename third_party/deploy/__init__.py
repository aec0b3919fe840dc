"""Detectors as exportable functions of pixels, and what runs their files."""

from . import dense, protocol, two_stage  # noqa: F401  the forms are registered when imported
from .parts import DetectorParts
from .prediction import ExportedDetector, TorchSession, pixel_batch, predict
from .registry import detector_parts, register_parts
from .selection import PaddedDetections
from .suppression import suppress
from .tracing import traced_form

__all__ = [
    "DetectorParts",
    "ExportedDetector",
    "PaddedDetections",
    "TorchSession",
    "detector_parts",
    "pixel_batch",
    "predict",
    "register_parts",
    "suppress",
    "traced_form",
]
