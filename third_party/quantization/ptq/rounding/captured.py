"""What a module was given and what it gave, taken from runs of the whole model."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from ..batches import Run


@dataclass(frozen=True)
class Call:
    """One call of a module: its positional arguments, and its output; both trees of tensors, detached."""

    args: tuple[Any, ...]
    output: Any


class _Stop(Exception):
    """The module has been called as often as it will be; the rest of the model need not run."""


def capture(
    model: nn.Module, module: nn.Module, batches: Iterable[Any], run: Run, calls: int = 1, *, outputs: bool = True
) -> list[Call]:
    """Run a model, as it is, up to the last call of one of its modules.

    Args:
        model: the whole model.
        module: a module of it that is called with positional arguments.
        batches: what ``run`` takes.
        run: of model and batch, runs the model.
        calls: how often the model calls the module in one run.
        outputs: whether outputs are wanted; None stands for those that are not.

    Returns:
        ``calls`` entries for each batch, in order.
    """
    found: list[Call] = []

    def before(_: nn.Module, args: tuple[Any, ...]) -> None:
        found.append(Call(tree_map(_copied, args), None))
        if not outputs and len(found) % calls == 0:
            raise _Stop

    def after(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if outputs:
            found[-1] = replace(found[-1], output=tree_map(_copied, output))
            if len(found) % calls == 0:
                raise _Stop

    handles = [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        with torch.no_grad():
            for batch in batches:
                try:
                    run(model, batch)
                except _Stop:
                    pass
    finally:
        for handle in handles:
            handle.remove()
    return found


def rows_of(tree: Any) -> int | None:
    """The common size of the tensors' first dimension; None if there is none."""
    sizes = {t.shape[0] if t.dim() else 0 for t in tree_leaves(tree) if isinstance(t, Tensor)}
    return sizes.pop() if len(sizes) == 1 else None


def pick(tree: Any, rows: Tensor | None) -> Any:
    """The tree with these rows of each tensor; None: all of them."""
    return tree if rows is None else tree_map(lambda t: t[rows] if isinstance(t, Tensor) else t, tree)


def _copied(value: Any) -> Any:
    # The model may change it in place later.
    return value.detach().clone() if isinstance(value, Tensor) else value
