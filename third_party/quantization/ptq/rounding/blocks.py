"""The parts of a model whose weights are learned together."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ...modules import QuantLayer
from ...spec.names import NamePattern
from ...transform.flow import float_evaluation


@dataclass(frozen=True)
class Block:
    """A module that is learned as a whole.

    Attributes:
        name: its qualified name.
        module: it.
        layers: names of the quantized layers with weights inside, relative to it; "" is itself.
        calls: how often a run of the model calls it.
        bytes: memory of its inputs and outputs in the example run.
    """

    name: str
    module: nn.Module
    layers: tuple[str, ...]
    calls: int
    bytes: int


@dataclass
class _Seen:
    """What the example run showed of a module: when it was first called, how often, and whether calls are plain."""

    first: int
    calls: int = 0
    bytes: int = 0
    plain: bool = True


def find_blocks(
    model: nn.Module, run: Callable[[], object], *, largest: int = 8, names: Iterable[str] | None = None
) -> list[Block]:
    """Divide a model into blocks (BRECQ, arXiv 2102.05426, section 3.2, takes the residual blocks of a network).

    A block is the outermost module that has at most ``largest`` quantized layers, takes tensors as positional
    arguments, gives tensors, and whose layers are not called from elsewhere. Where there is none a layer is a block by
    itself.

    Args:
        model: prepared.
        run: calls it on an example.
        largest: quantized layers of a block; 1 makes every layer a block.
        names: patterns of modules that are blocks whatever their size; the others follow the rule.

    Returns:
        blocks in the order in which the model first calls them; layers that it does not call are in none.

    Raises:
        ValueError: a pattern that matches no module that can be a block.
    """
    seen = _observe(model, run)
    named = dict(model.named_modules())
    patterns = [NamePattern(text) for text in names or ()]
    fit = [name for name, module in named.items() if name and module in seen and seen[module].plain and _inside(module)]
    for pattern in patterns:
        if not any(map(pattern.matches, fit)):
            raise ValueError(
                f"reconstruction: {pattern.text!r} matches no module with quantized layers.{pattern.advice(fit)}"
            )
    blocks: list[Block] = []
    taken: set[str] = set()
    for wanted in (True, False):
        for name in fit:
            module, layers = named[name], _inside(named[name])
            if wanted != any(p.matches(name) for p in patterns) or (not wanted and len(layers) > largest):
                continue
            full = {f"{name}.{layer}".rstrip(".") for layer in layers}
            if not full & taken and _owns(module, layers, seen):
                taken |= full
                facts = seen[module]
                blocks.append(Block(name, module, tuple(layers), facts.calls, facts.bytes))
    return sorted(blocks, key=lambda block: seen[block.module].first)


def _observe(model: nn.Module, run: Callable[[], object]) -> dict[nn.Module, _Seen]:
    seen: dict[nn.Module, _Seen] = {}

    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        facts = seen.setdefault(module, _Seen(len(seen)))
        facts.plain &= not kwargs and _only_tensors(args)

    def after(module: nn.Module, args: Any, output: Any) -> None:
        facts = seen[module]
        facts.calls += 1
        facts.plain &= _only_tensors(output)
        facts.bytes += sum(t.numel() * t.element_size() for t in tree_leaves((args, output)) if isinstance(t, Tensor))

    handles = []
    for module in model.modules():
        handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(module.register_forward_hook(after))
    try:
        with float_evaluation(model):
            run()
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _only_tensors(tree: Any) -> bool:
    leaves = tree_leaves(tree)
    return bool(leaves) and all(isinstance(leaf, Tensor) for leaf in leaves)


def _inside(module: nn.Module) -> list[str]:
    return [name for name, layer in module.named_modules() if isinstance(layer, QuantLayer)]


def _owns(module: nn.Module, layers: list[str], seen: dict[nn.Module, _Seen]) -> bool:
    """Whether every run of the module runs all its layers, and nothing else does, as far as calls tell."""
    calls = [seen[layer].calls if layer in seen else 0 for layer in map(module.get_submodule, layers)]
    return all(count and count % seen[module].calls == 0 for count in calls) and seen[module].calls > 0
