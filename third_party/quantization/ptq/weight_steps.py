"""The steps of a recipe that change weights."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

from torch import nn

from .batches import Run
from .recipe import PTQRecipe

Step = Callable[[str], AbstractContextManager[dict[str, Any]]]


def before_statistics(model: nn.Module, recipe: PTQRecipe, batches: Iterable[Any], run: Run, step: Step) -> None:
    """Steps that change what tensors look like, and so come before their statistics."""


def after_ranges(model: nn.Module, recipe: PTQRecipe, batches: Iterable[Any], run: Run, step: Step) -> None:
    """Steps that need all ranges."""
