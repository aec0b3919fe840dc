"""Batch norms that stand beside the layer they follow."""

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from ..modules import ConvertedLayer
from ..modules.norms import running_affine, split_norm

NORM_PAIRS: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {}


def register_norm_pair(container_type: type[nn.Module], layer: str, norm: str) -> None:
    """Say that modules of a class run their child ``norm`` on the output of their child ``layer``, and on nothing else.

    When a model is converted, the norm then goes into scale and bias of the layer. Neighbours in an
    ``nn.Sequential`` are found without this.

    Args:
        container_type: the class, exactly.
        layer, norm: names of the children, such as "conv" and "bn".
    """
    pairs = NORM_PAIRS.get(container_type, ())
    if (layer, norm) not in pairs:
        NORM_PAIRS[container_type] = (*pairs, (layer, norm))


def norms_beside(model: nn.Module, layers: Iterable[str]) -> list[str]:
    """Names of batch norms that are not inside one of these layers."""
    prefixes = tuple(f"{name}." for name in layers)
    return [
        name
        for name, module in model.named_modules()
        if not isinstance(module, nn.Sequential) and split_norm(module)[0] is module and not name.startswith(prefixes)
    ]


@torch.no_grad()
def fold_neighbours(model: nn.Module) -> None:
    """Fold batch norms into the converted layers before them, and leave ``nn.Identity`` in their places.

    Only where both have one name in the model, and the layer applies nothing between.
    """
    uses: dict[int, int] = {}
    for _, module in model.named_modules(remove_duplicate=False):
        uses[id(module)] = uses.get(id(module), 0) + 1
    for container in list(model.modules()):
        for layer_name, norm_name in _pairs(container):
            layer, norm = container._modules.get(layer_name), container._modules.get(norm_name)
            if not isinstance(layer, ConvertedLayer) or norm is None or split_norm(norm)[0] is not norm:
                continue
            alone = uses[id(layer)] == 1 and uses[id(norm)] == 1
            # Linear layers take channels last, norms take them second: the same only for matrices.
            if alone and layer.input_axis == 1 and layer.norm is None and layer.activation is None:
                layer.absorb(*running_affine(norm, layer.out_channels_of(layer.weight_codes)))
                container._modules[norm_name] = nn.Identity()


def _pairs(container: nn.Module) -> Iterator[tuple[str, str]]:
    if type(container) is nn.Sequential:
        names = list(container._modules)
        yield from zip(names, names[1:], strict=False)
    yield from NORM_PAIRS.get(type(container), ())
