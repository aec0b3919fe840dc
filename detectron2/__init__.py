"""Detection, segmentation and training with Detectron2's public interface."""

from .utils.env import setup_environment

__version__ = "0.7.0"

setup_environment()
