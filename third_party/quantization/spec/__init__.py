"""Descriptions of what is to be quantized and how; knows neither modules nor tensors."""

from .methods import (
    METHODS,
    AQDSpec,
    BinaryMeanSpec,
    BiRealSpec,
    DoReFaSpec,
    ImageSpec,
    LearnedThresholdSpec,
    LQNetSpec,
    LSQPlusSpec,
    LSQSpec,
    MinMaxSpec,
    PACTSpec,
    TTQSpec,
    XNORPlusPlusSpec,
    XNORSpec,
    spec_from_mapping,
)
from .quant_spec import QuantSpec
from .roles import Role
