"""What each action of a schedule does to a quantizer; found by the type of the action."""

from functools import singledispatch

from torch.optim import Optimizer

from ..spec.schedule import Action, Freeze, ResetRange, SetBits, SetEnabled, Unfreeze
from .layers import QuantizedTensor
from .momentum import forget, parameters_of


@singledispatch
def apply_action(action: Action, tensor: QuantizedTensor, optimizer: Optimizer | None) -> None:
    """Carry out an action on one quantizer.

    Args:
        action: of ``spec/schedule.py``; its type decides.
        tensor: the quantizer and its layer.
        optimizer: whose momentum is reset where the action asks for it.

    Raises:
        TypeError: an action that is not carried out on single quantizers.
    """
    raise TypeError(f"no rule how to apply {type(action).__name__} to a quantizer")


@apply_action.register
def _(action: SetEnabled, tensor: QuantizedTensor, optimizer: Optimizer | None) -> None:
    tensor.quantizer.set_enabled(action.value)


@apply_action.register
def _(action: SetBits, tensor: QuantizedTensor, optimizer: Optimizer | None) -> None:
    if action.bits == tensor.quantizer.bits:
        return
    tensor.quantizer.set_bits(action.bits)
    if action.reset_momentum:
        forget(optimizer, parameters_of(tensor))


@apply_action.register
def _(action: Freeze, tensor: QuantizedTensor, optimizer: Optimizer | None) -> None:
    tensor.quantizer.set_frozen(True)


@apply_action.register
def _(action: Unfreeze, tensor: QuantizedTensor, optimizer: Optimizer | None) -> None:
    tensor.quantizer.set_frozen(False)


@apply_action.register
def _(action: ResetRange, tensor: QuantizedTensor, optimizer: Optimizer | None) -> None:
    # A frozen quantizer takes no range from data and could not quantize at all.
    tensor.quantizer.set_frozen(False)
    tensor.quantizer.reset_range()
    forget(optimizer, tensor.quantizer.parameters(recurse=False))
