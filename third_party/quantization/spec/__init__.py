"""Descriptions of what is to be quantized and how; knows neither modules nor tensors."""

from .config import QuantConfig
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
from .names import NamePattern
from .plan import LayerPlan
from .quant_spec import QuantSpec
from .roles import Role
from .rules import Rule
from .schedule import Action, Calibrate, Freeze, ResetRange, SetBits, SetEnabled, Step, Unfreeze
from .training import (
    DistillationConfig,
    OscillationConfig,
    ProgressiveConfig,
    ProxConfig,
    QuantizationLossConfig,
    TrainingConfig,
)
