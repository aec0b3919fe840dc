"""Quantizers: one method a file, built from a spec by :func:`build_quantizer`."""

from .affine import AffineQuantizer, LearnedRangeQuantizer, LearnedStepQuantizer
from .aqd import AQD
from .binary_mean import BinaryMean
from .bireal import BiReal
from .dorefa import DoReFa
from .image import Image
from .learned_threshold import LearnedThreshold
from .lq_net import LQNet
from .lsq import LSQ
from .lsq_plus import LSQPlus
from .minmax import MinMax
from .pact import PACT
from .quantizer import Quantizer
from .registry import QUANTIZERS, build_quantizer, register
from .ttq import TTQ
from .xnor import XNORActivation, XNORWeight
from .xnor_plus_plus import XNORPlusPlus
