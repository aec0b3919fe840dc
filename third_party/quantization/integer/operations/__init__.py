"""What an integer program is made of: one family of operations a file."""

from .base import OPERATIONS, Operation
from .border import Dequantize, Literal, Quantize
from .rescale import Clamp, Interpolate, LookUp, Rescale
from .steps import FLOAT, MOVING, Step
from .weighted import Convolution, Linear, Weighted
