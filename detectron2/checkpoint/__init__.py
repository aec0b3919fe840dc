"""Checkpoints: written whole or not at all, read without running code, matched by name to the model."""

from fvcore.common.checkpoint import Checkpointer, PeriodicCheckpointer

from . import catalog as _catalog  # noqa: F401  registers catalog:// with the path manager
from .detection_checkpoint import DetectionCheckpointer

__all__ = ["Checkpointer", "PeriodicCheckpointer", "DetectionCheckpointer"]
