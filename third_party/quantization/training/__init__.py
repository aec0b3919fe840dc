"""What goes along with quantization-aware training."""

from .correction import correct, corrected
from .quant_training import QuantTraining
