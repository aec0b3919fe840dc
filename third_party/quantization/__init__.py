"""Quantization of PyTorch models: prepare, train or calibrate, convert.

    config = QuantConfig.from_mapping({"WEIGHT": {"METHOD": "lsq", "BITS": 4}})
    print(prepare(model, config))   # layers become quantized ones, ranges come from the first data
    ...                             # train
    print(convert(model))           # weights become integers

Needs PyTorch and NumPy only.
"""

from .modules import (
    FixedPointBatchNorm,
    LayerOptions,
    QuantAdd,
    QuantConcat,
    QuantConv2d,
    QuantConvTranspose2d,
    QuantDeformConv,
    QuantLayer,
    QuantLinear,
)
from .quantizers.quantizer import Quantizer
from .quantizers.registry import build_quantizer
from .spec import QuantConfig, QuantSpec, Role, Rule, Step, TrainingConfig, spec_from_mapping
from .transform import (
    Report,
    convert,
    missing_quantizer_keys,
    parameter_overrides,
    prepare,
    register_converter,
    register_norm_pair,
    register_pass_through,
    tie_ranges,
)
