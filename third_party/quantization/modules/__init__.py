"""Layers that quantize what they read: built from quantizers handed in, they know no method by name."""

from .conv import ConvertedConv2d, QuantConv2d
from .conv_transpose import ConvertedConvTranspose2d, QuantConvTranspose2d
from .converted import ConvertedLayer
from .deform_conv import ConvertedDeformConv, QuantDeformConv
from .elementwise import QuantAdd, QuantConcat, QuantElementwise, quantize_together
from .fixed_point_norm import FixedPointBatchNorm
from .layer import QuantLayer
from .linear import ConvertedLinear, QuantLinear
from .nonlinear import NONLINEAR_MODULES, QuantNonlinear, lowest_output
from .options import LayerOptions
