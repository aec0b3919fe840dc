"""Blocks of the YOLO networks, each written once and shared by the families."""

from .bottleneck import Bottleneck, BottleneckChain
from .c2f import C2f
from .c3 import C3
from .concat import Concat
from .conv import batch_norm, conv_bn_act, depthwise, leaky_relu, relu, silu
from .focus import Focus
from .separable import SeparableConv
from .spatial_pyramid import SPP, SPPF
