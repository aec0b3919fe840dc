"""From float models to quantized ones, and from those to integers."""

from .access import MissingKeys, missing_quantizer_keys, parameter_overrides, quantizers
from .conversion import conversion_refusal, convert
from .layers import Layer, is_quantized, survey
from .norm_pairs import register_norm_pair
from .preparation import prepare
from .registry import CONVERTERS, Converter, find_converter, passes_through, register_converter, register_pass_through
from .report import Report, Row
from .ties import tie_ranges
