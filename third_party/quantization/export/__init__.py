"""From converted models to files that engines run."""

from .lowering import TARGETS, to_onnx
from .passes import PASSES, normalise
from .trace import image_sizes, trace
