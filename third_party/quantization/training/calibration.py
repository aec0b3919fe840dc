"""Ranges observed anew during training, then frozen."""

from collections.abc import Sequence
from typing import Any

from torch.utils.hooks import RemovableHandle

from ..quantizers.quantizer import Quantizer
from ..spec.roles import Role
from .hold import RangeHold


class Calibration:
    """One ``Calibrate`` step: activations' ranges become the mean over so many training batches, then all freeze.

    Weights go on learning meanwhile, by the loss of these same batches; the ranges that are observed do not follow
    their gradients. Weights' ranges are not observed, only frozen at the end. How far a calibration has come is in
    the quantizers' own states, so that it goes on after a resume.

    Args:
        quantizers: those that the step names.
        start: iteration of the first batch.
        batches: how many batches.
        hold: keeps the optimizer off.
    """

    def __init__(self, quantizers: Sequence[Quantizer], start: int, batches: int, hold: RangeHold) -> None:
        self.quantizers = quantizers
        self.observed = [q for q in quantizers if q.role is Role.ACTIVATION]
        self.start, self.end = start, start + batches
        self._hold = hold
        self._handles: list[RemovableHandle] = []

    def begin(self) -> None:
        """Forget the present ranges of the activations."""
        for quantizer in self.observed:
            quantizer.set_frozen(False)
            quantizer.reset_range()

    def watch(self, iteration: int) -> None:
        """Observe in iterations from start to end, and in no others."""
        wanted = self.start <= iteration < self.end
        if wanted and not self._handles:
            self._handles = [q.register_forward_pre_hook(_observe) for q in self.observed]
            self._hold.observing.extend(self.observed)
        elif not wanted:
            self.stop()

    def stop(self) -> None:
        """Observe no longer."""
        if self._handles:
            for handle in self._handles:
                handle.remove()
            self._handles = []
            ended = {id(q) for q in self.observed}
            self._hold.observing[:] = [q for q in self._hold.observing if id(q) not in ended]

    def finish(self) -> None:
        """Freeze the ranges as they are."""
        self.stop()
        for quantizer in self.quantizers:
            quantizer.set_frozen(True)


def _observe(quantizer: Quantizer, args: tuple[Any, ...]) -> None:
    # The first batches after a reset are observed by the quantizer itself.
    if quantizer.training and quantizer.enabled and not quantizer.wants_data():
        quantizer.observe(args[0])
