"""What the quantization engine has to know about the layers of this project."""

from third_party.quantization import QuantConcat, register_converter

from .layers import Concat

register_converter(Concat, QuantConcat.from_float, kind="elementwise")
