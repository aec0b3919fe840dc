"""One range for each tensor, whoever reads it."""

from collections.abc import Callable

import torch
from torch import nn

from ..quantizers.quantizer import Quantizer
from ..spec.roles import Role
from .flow import follow


def tie_ranges(model: nn.Module, run: Callable[[], object]) -> list[tuple[str, ...]]:
    """Let all quantizers that read the same tensor be one, so that each tensor is quantized once.

    Engines want that: one pair of Q/DQ nodes a tensor. The model is run once to see who reads what. Read is also a
    tensor's part, after a split, what comes from it through modules that only choose among values (max pooling,
    nearest upsampling), and what a quantized concatenation made of it: that has the range of its branches. Quantizers
    are tied where their specs and widths are equal and their range is that of a whole tensor. To be called before
    ranges are calibrated.

    A tied quantizer is one module under several names; a state dict holds it under each of them. It loads into a
    model that is not tied, and gives the same numbers there.

    Args:
        model: prepared, changed in place.
        run: calls the model on an example, such as ``lambda: model(batch)``; quantizers are off meanwhile.

    Returns:
        the names of quantizers that are the same one, in groups; the same from a second call.

    Raises:
        ValueError: quantizers that would be tied have different ranges already.
    """
    slots = _slots(model)
    names: dict[Quantizer, list[str]] = {}
    for name, quantizer in slots:
        names.setdefault(quantizer, []).append(name)
    leaders: dict[Quantizer, Quantizer] = {}
    for readers in follow(model, run).readers():
        for i, quantizer in enumerate(readers):
            for other in readers[:i]:
                first, second = _leader(leaders, other), _leader(leaders, quantizer)
                if first is not second and _alike(first, second):
                    leaders[second] = first
    groups: dict[Quantizer, list[str]] = {}
    for name, quantizer in slots:
        groups.setdefault(_leader(leaders, quantizer), []).append(name)
    for leader in groups:
        for quantizer in names:
            if _leader(leaders, quantizer) is leader:
                _check_ranges(names[leader][0], leader, names[quantizer][0], quantizer)
    for leader, members in groups.items():
        for name in members:
            parent, _, leaf = name.rpartition(".")
            model.get_submodule(parent)._modules[leaf] = leader
    return [tuple(members) for members in groups.values() if len(members) > 1]


def _slots(model: nn.Module) -> list[tuple[str, Quantizer]]:
    """Quantizers of activations under all their names."""
    modules = model.named_modules(remove_duplicate=False)
    quantizers = ((name, module) for name, module in modules if isinstance(module, Quantizer))
    return [(name, quantizer) for name, quantizer in quantizers if quantizer.role is Role.ACTIVATION]


def _leader(leaders: dict[Quantizer, Quantizer], quantizer: Quantizer) -> Quantizer:
    while quantizer in leaders:
        quantizer = leaders[quantizer]
    return quantizer


def _alike(a: Quantizer, b: Quantizer) -> bool:
    """Whether one can stand for the other, but for their ranges."""
    if a.axis is not None or b.axis is not None or type(a) is not type(b) or a.spec != b.spec:
        return False
    return (a.bits, a.enabled, a.frozen) == (b.bits, b.enabled, b.frozen)


def _check_ranges(name: str, quantizer: Quantizer, other_name: str, other: Quantizer) -> None:
    own, others = quantizer.state_dict(), other.state_dict()
    if any(not torch.equal(own[key], others[key]) for key in own):
        raise ValueError(
            f"{name} and {other_name} read the same tensor, but their ranges differ already: tie ranges before they "
            "are calibrated"
        )
