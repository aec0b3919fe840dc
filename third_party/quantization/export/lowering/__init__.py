"""From a traced graph to an ONNX file: quantization as QuantizeLinear and DequantizeLinear nodes."""

from .targets import TARGETS, Target
from .to_onnx import to_onnx
from .translation import register_translation
