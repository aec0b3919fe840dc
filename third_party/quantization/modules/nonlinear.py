"""Activation functions that read quantized values."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..functional.fake_quantize import fake_quantize
from ..quantizers.quantizer import Quantizer
from ..quantizers.registry import build_quantizer
from ..spec.quant_spec import QuantSpec
from ..spec.roles import Role
from .adopt import adopt, type_names
from .options import LayerOptions

# Functions that do more than clip: an integer engine looks their output up by the code of their input. The number is
# the least value that the function takes, None where it has none or where settings decide.
NONLINEAR_MODULES: dict[type[nn.Module], float | None] = {
    nn.SiLU: -0.27846454276105104,
    nn.Mish: -0.3088434130172443,
    nn.GELU: None,
    nn.Hardswish: -0.375,
    nn.LeakyReLU: None,
    nn.Sigmoid: 0.0,
    nn.Tanh: -1.0,
}
_CLIPPING = (nn.ReLU, nn.ReLU6)
_GELU_MINIMA = {"none": -0.16997120747985492, "tanh": -0.1700407505712157}
_FUNCTIONS: dict[Any, type[nn.Module]] = {
    F.silu: nn.SiLU,
    F.mish: nn.Mish,
    F.gelu: nn.GELU,
    F.hardswish: nn.Hardswish,
    F.leaky_relu: nn.LeakyReLU,
    F.sigmoid: nn.Sigmoid,
    torch.sigmoid: nn.Sigmoid,
    F.tanh: nn.Tanh,
    torch.tanh: nn.Tanh,
}


class QuantNonlinear(nn.Module):
    """An activation function whose input is quantized: a function from codes to numbers, as a table would be.

    SiLU is the product of its input with a sigmoid, and engines that have no table for it quantize that sigmoid as
    well, on steps of 1/256 from 0 to 255/256 (1/65536 behind an input of more than 8 bits). So does this, in order
    that a model computes what such an engine will. It never works in place.

    Attributes:
        input_quantizer: None, or switched off: the function in float.
        function: the float module, whose settings decide what is computed.
        float_type_names: names of the float module's class and its bases.
    """

    sigmoid_step: Tensor
    fine_sigmoid_step: Tensor
    sigmoid_zero_point: Tensor

    def __init__(self, function: nn.Module, input_quantizer: Quantizer | None = None) -> None:
        """
        Args:
            function: of one of the types in :data:`NONLINEAR_MODULES`.
            input_quantizer: with one range for the whole tensor.

        Raises:
            ValueError: a quantizer with several ranges.
        """
        super().__init__()
        adopt(self, function)
        self.float_type_names = type_names(function)
        if input_quantizer is not None and input_quantizer.axis is not None:
            granularity = input_quantizer.spec.granularity
            raise ValueError(f"an activation function needs granularity 'tensor', got {granularity!r}")
        self.function = _plain(function)
        self.input_quantizer = None if input_quantizer is None else input_quantizer.train(function.training)
        if isinstance(function, nn.SiLU):
            self.register_buffer("sigmoid_zero_point", torch.zeros(()), persistent=False)
            self.register_buffer("sigmoid_step", torch.tensor(2.0**-8), persistent=False)
            self.register_buffer("fine_sigmoid_step", torch.tensor(2.0**-16), persistent=False)

    @classmethod
    def from_float(
        cls,
        layer: nn.Module,
        weight: QuantSpec | None,
        activation: QuantSpec | None,
        options: LayerOptions | None = None,
    ) -> "QuantNonlinear":
        """Make the quantized form of an activation function; ``weight`` and ``options`` mean nothing here.

        Raises:
            ValueError: a spec that does not suit activations, or has several ranges.
        """
        return cls(layer, None if activation is None else build_quantizer(activation, Role.ACTIVATION, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """The function of the quantized ``x``, any shape."""
        quantizer = self.input_quantizer
        if quantizer is None:
            return self.function(x)
        x = quantizer(x)
        if not (isinstance(self.function, nn.SiLU) and quantizer.enabled):
            return self.function(x)
        return x * self._quantized_sigmoid(x, quantizer.bits)

    def _quantized_sigmoid(self, x: Tensor, bits: int) -> Tensor:
        step, high = (self.sigmoid_step, 2**8 - 1) if bits <= 8 else (self.fine_sigmoid_step, 2**16 - 1)
        return fake_quantize(x.sigmoid(), step, self.sigmoid_zero_point, 0, high)

    def extra_repr(self) -> str:
        return self.float_type_names[0]


def _plain(function: nn.Module) -> nn.Module:
    """A copy without hooks, which the quantized form runs, and that leaves its input alone."""
    made = type(function).__new__(type(function))
    nn.Module.__init__(made)
    settings = {name: copy.copy(value) for name, value in function.__dict__.items() if not name.startswith("_")}
    made.__dict__.update(settings)
    if "inplace" in settings:
        made.__dict__["inplace"] = False
    return made


def is_nonlinear(activation: Any) -> bool:
    """Whether a layer's activation is, or was, one that :class:`QuantNonlinear` can stand for."""
    return isinstance(activation, QuantNonlinear) or as_nonlinear(activation) is not None


def as_nonlinear(activation: Any) -> nn.Module | None:
    """The module for an activation, a module or one of PyTorch's functions; None if it is no nonlinear one."""
    if type(activation) in NONLINEAR_MODULES:
        return activation
    try:
        return _FUNCTIONS[activation]()
    except (KeyError, TypeError):  # not all modules and callables can be hashed
        return None


def lowest_output(activation: Any) -> float | None:
    """The least value that an activation function takes; None if that is not known, or there is none."""
    if isinstance(activation, QuantNonlinear):
        activation = activation.function
    if isinstance(activation, _CLIPPING) or activation in (F.relu, torch.relu, F.relu6):
        return 0.0
    module = as_nonlinear(activation)
    if isinstance(module, nn.GELU):
        return _GELU_MINIMA[module.approximate]
    return None if module is None else NONLINEAR_MODULES[type(module)]
