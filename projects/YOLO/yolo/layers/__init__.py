"""Blocks of the YOLO networks, each written once and shared by the families."""

from detectron2.layers import Concat

from .area_attention import AreaAttention, AreaBlock, ResidualELAN
from .attention import C2PSA, AttentionBlock, PositionalAttention
from .bottleneck import Bottleneck, BottleneckChain
from .c2f import C2f
from .c3 import C3
from .c3k2 import C3k2
from .cib import C2fCIB, CompactInvertedBlock
from .conv import batch_norm, conv_bn_act, depthwise, leaky_relu, relu, silu
from .downsample import AConv, ADown
from .elan import ELAN
from .focus import Focus
from .gelan import GELAN
from .implicit import ImplicitScale, ImplicitShift
from .merge import Sum
from .pyramid_csp import PyramidCSP, TinyPyramidCSP
from .reparam import LargeKernelConv, ReparamConv
from .reversible import SideConv, SideFuse
from .scdown import SCDown
from .separable import SeparableConv
from .spatial_pyramid import SPP, SPPF
from .transition import Transition, WideTransition
