"""Reading along what quantizers are given."""

import weakref
from typing import Any

from torch import Tensor, nn

from ..modules import QuantConcat
from ..quantizers.quantizer import Quantizer
from .batches import Run
from .input_range import InputRange
from .known_bounds import known_bounds
from .statistics import TensorStatistics


def layer_of(name: str) -> str:
    """The layer that a quantizer of this qualified name belongs to."""
    return name.rpartition(".")[0]


class QuantizerWatch:
    """Hands what quantizers read to their statistics while it is a context.

    A tensor that a quantizer reads twice counts once, and so does what a concatenation has joined for it already.

    Args:
        model: with quantizers that hand tensors through.
        watched: those of it that are wanted, with their qualified names.

    Attributes:
        statistics: of each of them.
    """

    def __init__(self, model: nn.Module, watched: dict[Quantizer, str]) -> None:
        self.model, self.watched = model, watched
        modules = dict(model.named_modules())
        self.statistics = {
            quantizer: TensorStatistics(int(getattr(modules[layer_of(name)], "input_axis", 1)))
            for quantizer, name in watched.items()
        }
        self._seen: dict[tuple[int, int], tuple[weakref.ref[Tensor], int]] = {}
        self._batch = 0

    def __enter__(self) -> "QuantizerWatch":
        self._handles = [quantizer.register_forward_pre_hook(self._read) for quantizer in self.watched]
        joins = (module for module in self.model.modules() if isinstance(module, QuantConcat))
        self._handles += [module.register_forward_hook(self._join) for module in joins]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def run_first(self, run: Run, batch: Any, known: InputRange | None) -> None:
        """:meth:`run` the first batch, and note which tensors are inputs whose range is known.

        Raises:
            ValueError: values of the batch beyond that range. Otherwise as :meth:`run`.
        """
        if known is None:
            return self.run(run, batch, 1)
        with known_bounds(self.model, self.watched) as bounds:
            bounds.enter(batch, known)
            self.run(run, batch, 1)
        for quantizer, reads in bounds.found().items():
            for ends in reads:
                self.statistics[quantizer].add_bounds(*ends)

    def run(self, run: Run, batch: Any, number: int) -> None:
        """Run the model on a batch; ``number`` is the batch's, from 1, for messages.

        Raises:
            FloatingPointError: a NaN or infinite activation.
        """
        self._batch = number
        run(self.model, batch)
        self._seen.clear()
        for statistics in self.statistics.values():
            statistics.end_batch()

    def _read(self, quantizer: nn.Module, args: tuple[Any, ...]) -> None:
        x = args[0]
        if not isinstance(quantizer, Quantizer) or self._known(quantizer, x):
            return
        try:
            self.statistics[quantizer].add(x)
        except FloatingPointError as error:
            layer = layer_of(self.watched[quantizer])
            raise FloatingPointError(
                f"the activations that {layer} reads are NaN or infinite in calibration batch {self._batch}"
            ) from error

    def _join(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, QuantConcat) and module.input_quantizer in self.watched and isinstance(output, Tensor):
            self._known(module.input_quantizer, output)

    def _known(self, quantizer: Quantizer, x: Tensor) -> bool:
        """Whether the quantizer has read this tensor in this batch; from now on it has."""
        key, version = (id(quantizer), id(x)), 0 if x.is_inference() else x._version
        held = self._seen.get(key)
        # The reference tells a tensor from a later one at the same place in memory.
        if held is not None and held[0]() is x and held[1] == version:
            return True
        self._seen[key] = weakref.ref(x), version
        return False
