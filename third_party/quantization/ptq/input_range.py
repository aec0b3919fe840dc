"""What is known of the tensors that a model is given, whatever the data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from ..spec.choices import check_number


def tensors_of(batch: Any) -> list[Tensor]:
    """All tensors in a batch's tuples, lists and dicts."""
    return [leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, Tensor)]


@dataclass(frozen=True)
class InputRange:
    """Between which values tensors lie that a model is given.

    Attributes:
        low, high: the ends, of the tensors as a batch holds them; what the model does to them first, such as
            subtracting a mean and padding, is followed (:mod:`.known_bounds`).
        tensors: from a batch to the tensors that are meant; by default all in its tuples, lists and dicts.

    Raises:
        ValueError: ends that are not finite, or not in order.
    """

    low: float
    high: float
    tensors: Callable[[Any], Sequence[Tensor]] = tensors_of

    def __post_init__(self) -> None:
        check_number("low", self.low)
        check_number("high", self.high, at_least=self.low)

    def of_batch(self, batch: Any) -> list[Tensor]:
        """The tensors that are meant, those without values left out.

        Raises:
            ValueError: values beyond the range.
        """
        found = [tensor for tensor in self.tensors(batch) if tensor.numel()]
        for tensor in found:
            low, high = float(tensor.min()), float(tensor.max())
            if low < self.low or high > self.high:
                raise ValueError(
                    f"the inputs are said to lie between {self.low:g} and {self.high:g}, but one of shape "
                    f"{tuple(tensor.shape)} has values from {low:g} to {high:g}"
                )
        return found
