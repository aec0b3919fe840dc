"""Following what is known of a model's inputs to the quantizers that read them.

Bounds go the way of the tensor: an operator that keeps the order of values, one by one, or only moves them is done to
both ends as well.
"""

import contextlib
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from ..quantizers.quantizer import Quantizer
from .input_range import InputRange, tensors_of
from .monotone import keeps_order

Ends = tuple[Tensor, Tensor]
Key = tuple[Any, ...]


@contextlib.contextmanager
def known_bounds(model: nn.Module, quantizers: Collection[Quantizer]) -> Iterator["KnownBounds"]:
    """In the context the bounds of inputs are followed, and what the quantizers read is noted.

    Args:
        model: with quantizers that hand tensors through.
        quantizers: those of it that are wanted.
    """
    bounds = KnownBounds(model)
    handles = [quantizer.register_forward_pre_hook(bounds.note) for quantizer in quantizers]
    try:
        with bounds:
            yield bounds
    finally:
        for handle in handles:
            handle.remove()


class KnownBounds(TorchDispatchMode):
    """Holds lower and upper bounds beside the tensors that follow from inputs alone.

    Bounds are kept for each channel, not for each pixel. All tensors that have some are held, since memory that is
    freed would be given to others.

    Args:
        model: its parameters and buffers are constants.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        tensors = [*model.parameters(), *model.buffers()]
        self._constants = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        self._bounds: dict[Key, Ends] = {}
        self._held: list[Tensor] = []
        self._reads: dict[Quantizer, list[Ends | None]] = {}

    def enter(self, batch: Any, known: InputRange) -> None:
        """Begin with what is known of a batch.

        Raises:
            ValueError: values of the batch lie beyond it.
        """
        for tensor in known.of_batch(batch):
            wanted = torch.promote_types(tensor.dtype, torch.float32)
            low, high = (tensor.new_tensor(end, dtype=wanted).expand(tensor.shape) for end in (known.low, known.high))
            self._set(tensor, low, high)

    def note(self, quantizer: nn.Module, args: tuple[Any, ...]) -> None:
        """Hook in front of a quantizer."""
        if isinstance(quantizer, Quantizer) and args[0].numel():
            self._reads.setdefault(quantizer, []).append(self._find(args[0]))

    def found(self) -> dict[Quantizer, list[Ends]]:
        """Bounds, in the tensors' shapes, of all that a quantizer read, for quantizers of which all of it is known."""
        known = {quantizer: [ends for ends in reads if ends is not None] for quantizer, reads in self._reads.items()}
        return {quantizer: reads for quantizer, reads in known.items() if len(reads) == len(self._reads[quantizer])}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = tensors_of((args, kwargs))
        if func._schema.is_mutable:
            self._forget(_written(func, args, kwargs))
        known = [tensor for tensor in inputs if self._find(tensor) is not None]
        if not known:
            return func(*args, **kwargs)
        with self:  # in inference mode operators arrive whole that consist of others
            made = func.decompose(*args, **kwargs)
        if made is not NotImplemented:
            return made
        made = func(*args, **kwargs)
        if keeps_order(func.overloadpacket, args, known, self._others(inputs, known)):
            ends = [func(*pytree.tree_map(partial(self._end, side), args), **kwargs) for side in (0, 1)]
            for tensor, a, b in zip(*map(tensors_of, (made, *ends)), strict=True):
                self._set(tensor, torch.minimum(a, b), torch.maximum(a, b))
        return made

    def _others(self, inputs: list[Tensor], known: list[Tensor]) -> list[bool]:
        """For each tensor without bounds, whether it is a constant."""
        ours = {id(tensor) for tensor in known}
        others = (tensor for tensor in inputs if id(tensor) not in ours)
        return [tensor.untyped_storage().data_ptr() in self._constants for tensor in others]

    def _end(self, side: int, value: Any) -> Any:
        ends = self._find(value) if isinstance(value, Tensor) else None
        return value if ends is None else ends[side].contiguous()

    def _set(self, tensor: Tensor, low: Tensor, high: Tensor) -> None:
        if tensor.numel() == 0:
            return
        if tensor.dim() > 2:
            low, high = low.amin((-2, -1), keepdim=True), high.amax((-2, -1), keepdim=True)
        self._bounds[_key(tensor)] = low, high
        self._held.append(tensor)

    def _find(self, tensor: Tensor) -> Ends | None:
        if tensor.layout is not torch.strided or tensor.numel() == 0:
            return None
        ends = self._bounds.get(_key(tensor))
        return None if ends is None else (ends[0].expand(tensor.shape), ends[1].expand(tensor.shape))

    def _forget(self, tensors: list[Tensor]) -> None:
        places = {tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.layout is torch.strided}
        self._bounds = {key: ends for key, ends in self._bounds.items() if key[0] not in places}


def _written(func: Any, args: Any, kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors that an operator changes."""
    given = {argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)} | kwargs
    written = {argument.name for argument in func._schema.arguments if argument.is_write}
    return tensors_of([value for name, value in given.items() if name in written])


def _key(tensor: Tensor) -> Key:
    place = tensor.untyped_storage().data_ptr()
    return place, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype
