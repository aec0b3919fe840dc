"""Counting a model's operations, activations and parameters, and finding parameters that nothing uses.

One multiply-add counts as one operation. The model is traced, so that the counts are those of the given inputs.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from detectron2.utils import fvcore_nn
from detectron2.utils.fvcore_nn import activation_count, flop_count, parameter_count, parameter_count_table

__all__ = [
    "FlopCountAnalysis",
    "activation_count",
    "activation_count_operators",
    "find_unused_parameters",
    "flop_count",
    "flop_count_operators",
    "parameter_count",
    "parameter_count_table",
]

FLOPS_MODE: str = "flops"
ACTIVATIONS_MODE: str = "activations"

# Costs next to nothing beside convolutions and matrix products; without an entry each would be reported as unknown.
_IGNORED_OPS: frozenset[str] = frozenset(
    f"aten::{name}"
    for name in (
        # element by element
        "abs abs_ add add_ addcmul bitwise_and bitwise_not bitwise_or ceil clamp clamp_ cos div div_ eq exp exp_ "
        "floor floor_divide ge gt isfinite le log log2 logical_and lt max maximum min minimum mul mul_ nan_to_num ne "
        "neg pow reciprocal "
        "relu relu_ remainder round rsqrt rsub sigmoid sigmoid_ sin sqrt sqrt_ sub sub_ tanh where "
        # reductions, sorting and selection
        "all any argmax argsort cumsum index index_copy index_put index_put_ index_select masked_fill max_pool2d mean "
        "nonzero nonzero_numpy prod scatter scatter_ softmax sort sum topk unique "
        # new tensors and changes of shape
        "arange cat chunk clone constant_pad_nd copy_ empty empty_like expand expand_as fill_ flatten full full_like "
        "lift_fresh meshgrid new_full new_ones new_zeros ones ones_like pad permute repeat repeat_interleave reshape "
        "reshape_as slice split split_with_sizes squeeze stack t transpose unbind unflatten unsqueeze view view_as "
        "zeros zeros_like zero_"
    ).split()
) | {"torchvision::nms", "torchvision::roi_align", "detectron2::roi_align_forward"}


def _tensors(value: Any, structures: bool) -> Iterator[torch.Tensor]:
    """Every tensor in nested dicts, lists and tuples, in a fixed order; of Instances and Boxes too if wished."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item, structures)
    elif structures and hasattr(value, "get_fields"):
        yield from _tensors(value.get_fields(), structures)
    elif structures and hasattr(value, "tensor"):
        yield value.tensor


def _with_tensors(value: Any, tensors: Iterator[torch.Tensor]) -> Any:
    """A copy of nested dicts, lists and tuples with each tensor replaced by the next one given.

    Tensors inside Instances stay as they are; they become constants of the trace.
    """
    if isinstance(value, torch.Tensor):
        return next(tensors)
    if isinstance(value, dict):
        return {name: _with_tensors(item, tensors) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_with_tensors(item, tensors) for item in value])
    return value


class _TensorsOnly(nn.Module):
    """Calls a model whose inputs and outputs are nested, with tensors in and tensors out, as tracing needs it."""

    def __init__(self, model: nn.Module, inputs: Any) -> None:
        import torchvision  # noqa: F401  # a model that imports it only now, under the tracer, would fail

        super().__init__()
        self.model = model
        self._inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        self.flattened_inputs = tuple(_tensors(self._inputs, structures=False))

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.model(*_with_tensors(self._inputs, iter(tensors)))
        return tuple(_tensors(outputs, structures=True))


class FlopCountAnalysis(fvcore_nn.FlopCountAnalysis):
    """fvcore's analysis for models that take and return dicts, lists and Instances.

    Names of modules begin with ``model.``, as the model is wrapped. Put it into evaluation mode first.
    """

    def __init__(self, model: nn.Module, inputs: Any) -> None:
        """
        Args:
            model: the model.
            inputs: its argument, e.g. ``[{"image": Tensor[3, H, W]}]``, or a tuple of arguments.
        """
        wrapper = _TensorsOnly(model, inputs)
        super().__init__(wrapper, wrapper.flattened_inputs)
        self.set_op_handle(**dict.fromkeys(_IGNORED_OPS))

    def _analyze(self) -> Any:
        with fvcore_nn.torchscript_is_fine():
            return super()._analyze()


def flop_count_operators(model: nn.Module, inputs: list) -> defaultdict[str, float]:
    """Billions of multiply-adds of one inference, by operator.

    Args:
        model: the model; its mode is put back afterwards.
        inputs: one batch in the standard format; best of one image.
    """
    return _wrapper_count_operators(model, inputs, FLOPS_MODE)


def activation_count_operators(model: nn.Module, inputs: list, **kwargs: Any) -> defaultdict[str, float]:
    """Millions of elements that convolutions and matrix products of one inference return, by operator.

    Args:
        model: the model; its mode is put back afterwards.
        inputs: one batch in the standard format; best of one image.
        kwargs: further arguments of ``fvcore.nn.activation_count``.
    """
    return _wrapper_count_operators(model, inputs, ACTIVATIONS_MODE, **kwargs)


def _wrapper_count_operators(model: nn.Module, inputs: list, mode: str, **kwargs: Any) -> defaultdict[str, float]:
    """Count in one of the two modes. ``supported_ops`` in ``kwargs`` is added to the operators ignored."""
    counters = {FLOPS_MODE: flop_count, ACTIVATIONS_MODE: activation_count}
    if mode not in counters:
        raise ValueError(f"unknown mode {mode!r}; known: {list(counters)}")
    supported_ops = {**dict.fromkeys(_IGNORED_OPS), **kwargs.pop("supported_ops", {})}
    training = model.training
    model.eval()
    try:
        wrapper = _TensorsOnly(model, inputs)
        with fvcore_nn.torchscript_is_fine():
            counts, _ = counters[mode](wrapper, wrapper.flattened_inputs, supported_ops=supported_ops, **kwargs)
    finally:
        model.train(training)
    return counts


def find_unused_parameters(model: nn.Module, inputs: Any) -> list[str]:
    """Names of trainable parameters that the losses do not depend on; DistributedDataParallel refuses such models.

    Args:
        model: a model in training mode that returns its loss or a dict of losses. Its gradients are cleared.
        inputs: its argument, or a tuple of arguments.

    Raises:
        ValueError: the model is in evaluation mode.
    """
    if not model.training:
        raise ValueError("find_unused_parameters needs the model in training mode: call model.train() first")
    model.zero_grad(set_to_none=True)
    losses = model(*inputs) if isinstance(inputs, tuple) else model(inputs)
    total = sum(losses.values()) if isinstance(losses, dict) else losses
    total.backward()
    unused = [
        name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None
    ]
    model.zero_grad(set_to_none=True)
    return unused
