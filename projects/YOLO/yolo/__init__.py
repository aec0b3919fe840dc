"""YOLO detectors on the framework: networks, assigners, losses, and what training and evaluation need."""

from importlib.util import find_spec

from .config import add_yolo_config
from .meta_arch import YOLO

if find_spec("third_party") is not None and find_spec("third_party.quantization") is not None:
    from . import quantization
