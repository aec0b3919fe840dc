"""Finding a model's quantizers, and what optimizers and checkpoints need to know of them."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from torch import nn

from ..quantizers.quantizer import Quantizer


def quantizers(model: nn.Module) -> Iterator[tuple[str, Quantizer]]:
    """All quantizers of a model with their qualified names; a shared one once."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, Quantizer))


def parameter_overrides(model: nn.Module) -> dict[str, dict[str, Any]]:
    """Settings of the optimizer for parameters of quantizers: no weight decay, which would shrink their ranges.

    Args:
        model: a prepared model.

    Returns:
        ``{parameter's own name: {"weight_decay": 0.0}}``, as Detectron2's ``get_default_optimizer_params`` takes it.
        Parameters that a method wants decayed, such as PACT's clipping value, are left out, with all of their name.
    """
    decayed: set[str] = set()
    names: dict[str, None] = {}
    for _, quantizer in quantizers(model):
        decayed |= quantizer.decayed_parameters
        names.update({name: None for name, _ in quantizer.named_parameters(recurse=False)})
    return {name: {"weight_decay": 0.0} for name in names if name not in decayed}


class MissingKeys(NamedTuple):
    """Keys that a checkpoint lacks.

    Attributes:
        quantizers: state of quantizers, which comes from the first data.
        others: all else, which is missing indeed.
    """

    quantizers: tuple[str, ...]
    others: tuple[str, ...]


def missing_quantizer_keys(model: nn.Module, missing: Iterable[str] | Any) -> MissingKeys:
    """Tell the state of quantizers from what a checkpoint really lacks.

    Args:
        model: a prepared model into which a checkpoint, such as a float one, was loaded with ``strict=False``.
        missing: the keys, or what ``load_state_dict`` returned.
    """
    keys = list(getattr(missing, "missing_keys", missing))
    # Under all its names: a state dict holds a shared quantizer under each.
    modules = model.named_modules(remove_duplicate=False)
    prefixes = tuple(f"{name}." for name, module in modules if isinstance(module, Quantizer))
    of_quantizers = tuple(key for key in keys if key.startswith(prefixes))
    return MissingKeys(of_quantizers, tuple(key for key in keys if key not in set(of_quantizers)))
