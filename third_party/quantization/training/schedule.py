"""Changes of quantizers at given iterations of a training."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from ..quantizers.quantizer import Quantizer
from ..spec.names import NamePattern
from ..spec.schedule import Calibrate, SetBits, Step
from .actions import apply_action
from .calibration import Calibration
from .hold import RangeHold
from .layers import QuantizedTensor, quantized_tensors
from .momentum import forget


class Schedule:
    """Applies steps to the quantizers they name, each step once, also when training is resumed between them.

    What a step did travels in the quantizers' states; which steps are due follows from the iteration alone. Steps of
    one iteration are applied in the order in which they are given, before its forward.

    Args:
        model: quantized; steps name its layers.
        steps: in any order.
        optimizer: whose momentum is reset, and which is kept off frozen ranges; None: there is none yet.

    Raises:
        ValueError: a step names no quantizer, or asks for bits that the method does not have.
    """

    def __init__(self, model: nn.Module, steps: Sequence[Step], optimizer: Optimizer | None = None) -> None:
        tensors = quantized_tensors(model)
        self.optimizer = optimizer
        self.hold = RangeHold(model, optimizer)
        self.steps = [(step, _named_by(step, tensors)) for step in sorted(steps, key=lambda step: step.iteration)]
        self._calibrations = {
            index: Calibration([t.quantizer for t in named], step.iteration, step.action.batches, self.hold)
            for index, (step, named) in enumerate(self.steps)
            if isinstance(step.action, Calibrate)
        }
        self._last = -1

    def before_step(self, iteration: int) -> None:
        """Apply the steps of this iteration; nothing when they have been applied already."""
        if iteration > self._last:
            for index, (step, named) in enumerate(self.steps):
                if step.iteration == iteration:
                    self._apply(index, step, named)
            self._last = iteration
        for calibration in self._calibrations.values():
            calibration.watch(iteration)
        self.hold.keep_in_graph()

    def _apply(self, index: int, step: Step, named: list[QuantizedTensor]) -> None:
        if index in self._calibrations:
            calibration = self._calibrations[index]
            calibration.begin()
            for quantizer in calibration.observed:
                forget(self.optimizer, quantizer.parameters(recurse=False))
            return
        for tensor in named:
            apply_action(step.action, tensor, self.optimizer)

    def after_step(self, iteration: int) -> None:
        """Freeze the ranges of calibrations that have seen their last batch."""
        for calibration in self._calibrations.values():
            if iteration + 1 == calibration.end:
                calibration.finish()

    def check(self, max_iter: int) -> None:
        """Raise ``ValueError`` if a step, or the end of a calibration, lies beyond the end of training."""
        for step, _ in self.steps:
            last = step.iteration + (step.action.batches - 1 if isinstance(step.action, Calibrate) else 0)
            if last >= max_iter:
                raise ValueError(
                    f"schedule: {step.describe()}, needs iterations up to {last}, but training ends with iteration "
                    f"{max_iter - 1}"
                )

    def state_dict(self) -> dict[str, Any]:
        """The last iteration whose steps were applied."""
        return {"last": self._last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self._last = int(state["last"])

    def close(self) -> None:
        """Remove all hooks."""
        for calibration in self._calibrations.values():
            calibration.stop()
        self.hold.close()


def _named_by(step: Step, tensors: list[QuantizedTensor]) -> list[QuantizedTensor]:
    concerned = [tensor for tensor in tensors if step.concerns(tensor.role)]
    named: dict[int, QuantizedTensor] = {}
    for tensor in concerned:
        if step.matches(tensor.name):
            named.setdefault(id(tensor.quantizer), tensor)
    if not named:
        what = "quantizer" if step.role is None else f"{step.role.value} quantizer"
        advice = NamePattern(step.name).advice([tensor.name for tensor in concerned])
        raise ValueError(f"schedule: {step.describe()}, names no layer with a {what}.{advice}")
    if isinstance(step.action, SetBits):
        for tensor in named.values():
            _check_bits(step, tensor.name, tensor.quantizer, step.action.bits)
    return list(named.values())


def _check_bits(step: Step, name: str, quantizer: Quantizer, bits: int) -> None:
    supported = quantizer.spec.supported_bits
    if bits not in supported:
        raise ValueError(
            f"schedule: {step.describe()}, gives {bits} bits to the {quantizer.role.value} of {name!r}, whose method "
            f"{quantizer.spec.method} has {supported[0]} to {supported[-1]}"
        )
