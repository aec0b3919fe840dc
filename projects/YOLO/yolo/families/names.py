"""Names of tensors in published checkpoints, and the way from them to the names used here."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from detectron2.layers import Conv2d

# Tensors that published checkpoints carry although they never change: bins of the box distribution and anchors.
_CONSTANT = re.compile(r"\.(dfl2?\.conv\.weight|anchors|anchor_grid)$")


@dataclass(frozen=True)
class SourceNames:
    """How a published checkpoint names its tensors.

    Attributes:
        prefix: name of a row by its index; the head counts as the row behind the last.
        children: for each block class, the published name of a child or a parameter (a dotted path reaches further
            down), or a function that gives them for a block. What is not listed keeps its name; an empty name leaves
            the level out; "+n" adds to the number that the name of the block ends in. Derived classes inherit.
    """

    prefix: Callable[[int], str]
    children: Mapping[type[nn.Module], Mapping[str, str] | Callable[[nn.Module], Mapping[str, str]]]

    def table_of(self, module: nn.Module) -> Mapping[str, str]:
        """The entry of a block's class, or of the nearest of its bases that has one."""
        bases = type(module).__mro__
        table = next((self.children[base] for base in bases if base in self.children), {})
        return table(module) if callable(table) else table


def is_constant(source_name: str) -> bool:
    """True for an entry of a published checkpoint that holds no weights and has no counterpart here."""
    return _CONSTANT.search(source_name) is not None


def source_names(module: nn.Module, prefix: str, names: SourceNames) -> dict[str, str]:
    """Published names of all tensors of a module.

    Args:
        module: a block or a head.
        prefix: its own published name.
        names: the conventions.

    Returns:
        name in ``module.state_dict()`` -> published name.
    """
    return dict(_walk(module, "", prefix, names, {}))


def _walk(
    module: nn.Module, ours: str, theirs: str, names: SourceNames, inherited: Mapping[str, str]
) -> list[tuple[str, str]]:
    if isinstance(module, Conv2d) and module.norm is not None and not inherited:
        return _conv_names(module, ours, theirs)
    table = {**names.table_of(module), **inherited}
    found = [(_join(ours, name), _join(theirs, table.get(name, name))) for name in _own_tensors(module)]
    for child, submodule in module.named_children():
        below = {key[len(child) + 1 :]: value for key, value in table.items() if key.startswith(child + ".")}
        name = "" if below else table.get(child, child)
        found += _walk(submodule, _join(ours, child), _join(theirs, name), names, below)
    return found


def _conv_names(module: Conv2d, ours: str, theirs: str) -> list[tuple[str, str]]:
    own = [(_join(ours, name), _join(theirs, f"conv.{name}")) for name in _own_tensors(module)]
    assert module.norm is not None
    return own + [(_join(ours, f"norm.{name}"), _join(theirs, f"bn.{name}")) for name in module.norm.state_dict()]


def _own_tensors(module: nn.Module) -> list[str]:
    names = [name for name, parameter in module._parameters.items() if parameter is not None]
    return names + [
        name
        for name, buffer in module._buffers.items()
        if buffer is not None and name not in module._non_persistent_buffers_set
    ]


def _join(prefix: str, name: str) -> str:
    if name.startswith("+"):
        stem, number = prefix.rsplit(".", 1)
        offset, _, rest = name[1:].partition(".")
        return _join(f"{stem}.{int(number) + int(offset)}", rest)
    return f"{prefix}.{name}" if prefix and name else prefix or name


def rename_state_dict(mapping: Mapping[str, str], source: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict under the names used here; every tensor is used exactly once.

    Args:
        mapping: name here -> published name, as :func:`source_names` gives it.
        source: the published state dict.

    Returns:
        name here -> tensor.

    Raises:
        ValueError: tensors are missing, or are left over and not constant.
    """
    missing = sorted(set(mapping.values()) - set(source))
    surplus = sorted(name for name in set(source) - set(mapping.values()) if not is_constant(name))
    if missing or surplus:
        raise ValueError(
            f"the state dict does not fit this network: {len(missing)} missing ({', '.join(missing[:5])}), "
            f"{len(surplus)} not expected ({', '.join(surplus[:5])})"
        )
    return {ours: source[theirs] for ours, theirs in mapping.items()}
