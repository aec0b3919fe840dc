"""All that goes along with quantization-aware training, behind one object in the shape of a hook."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ..spec.config import QuantConfig
from ..spec.training_groups import DistillationConfig
from .correction import correct, corrected
from .dampening import dampening_loss
from .distillation import Distillation
from .ema import WeightAverage
from .layers import quantized_weights
from .losses import quantization_loss
from .oscillation import OscillationTracker
from .progressive import progressive_steps
from .prox import ProxQuant
from .resources import resources
from .schedule import Schedule


class Stateful(Protocol):
    """A part whose state travels with a checkpoint."""

    def state_dict(self) -> Mapping[str, Any]:
        """Tensors and plain values."""

    def load_state_dict(self, state: Any) -> None:
        """The inverse."""


class QuantTraining:
    """Schedule, moving average, stabilisers and additional losses of a quantized model's training.

    A training loop calls, for each iteration: :meth:`before_step`, the model's forward, :meth:`extra_losses` (their
    sum joins the model's losses before the one backward), the optimizer's step, :meth:`after_step`. Checkpoints hold
    :meth:`state_dict` beside those of model and optimizer, saved after :meth:`after_step`; a run that loads them goes
    on as if it had not been interrupted. All of it is computed from the weights alone, so that several processes stay
    in step.

    Args:
        model: quantized; a ``DistributedDataParallel`` around it is looked through.
        config: its ``schedule`` and ``training`` are used.
        optimizer: whose momentum is reset, and which is kept off frozen ranges.
        teacher: the float model of the distillation, already with its weights.

    Raises:
        ValueError: a setting that does not fit the model; distillation without teacher.
    """

    def __init__(
        self,
        model: nn.Module,
        config: QuantConfig,
        optimizer: Optimizer | None = None,
        teacher: nn.Module | None = None,
    ) -> None:
        self.model = model.module if isinstance(model, DistributedDataParallel) else model
        self.config = training = config.training
        self.teacher = teacher
        self.weights = quantized_weights(self.model)
        steps = [*progressive_steps(self.model, training.progressive, training.reset_momentum), *config.schedule]
        self.schedule = Schedule(self.model, steps, optimizer)
        self.average = WeightAverage(self.model, training.ema_decay) if training.ema_decay > 0 else None
        oscillation, prox = training.oscillation, training.prox
        follows = oscillation.dampening > 0 or oscillation.freeze_threshold > 0
        self.oscillation = (
            OscillationTracker(self.weights, oscillation.momentum, oscillation.freeze_threshold) if follows else None
        )
        self.prox = ProxQuant(self.weights, prox.start, prox.end) if prox.enabled else None
        self.distillation = _distillation(self.model, teacher, training.distillation)

    def check(self, max_iter: int) -> None:
        """Raise ``ValueError`` if something is to happen beyond the end of training, ``max_iter`` iterations."""
        self.schedule.check(max_iter)
        if self.prox is not None and self.prox.end >= max_iter:
            raise ValueError(f"prox.end must be below the {max_iter} iterations of training; got {self.prox.end}")

    def before_step(self, iteration: int) -> None:
        """Carry out what the schedule has for this iteration; call before the forward."""
        self.schedule.before_step(iteration)

    def extra_losses(self) -> dict[str, Tensor]:
        """Additional losses, already weighted, ``Tensor[]`` each; call after the forward of a training batch."""
        losses = {}
        dampening, error, distilled = self.config.oscillation, self.config.quantization_loss, self.config.distillation
        if dampening.dampening > 0:
            losses["loss_dampening"] = dampening.dampening * dampening_loss(self.weights)
        if error.weight > 0:
            losses["loss_quantization"] = error.weight * quantization_loss(self.weights, error.kind)
        if self.distillation is not None:
            losses["loss_distillation"] = distilled.weight * self.distillation.loss()
        return losses

    def after_step(self, iteration: int) -> None:
        """Act on the weights that the optimizer's step of this iteration gave."""
        if self.prox is not None:
            self.prox.after_step(iteration)
        if self.oscillation is not None:
            self.oscillation.update()
        self.schedule.after_step(iteration)
        if self.average is not None:
            self.average.update()

    @contextmanager
    def evaluation(self, batches: Iterable[Any] | None = None) -> Iterator[None]:
        """The model as it should be evaluated; afterwards, whatever happens, as it was.

        Args:
            batches: for the correction, if the config asks for it (:func:`.correction.correct`); without them it is
                left out. Biases are not drawn to a teacher's: a detector that was trained on is no longer the teacher
                rounded, and lost all it had learned.
        """
        with ExitStack() as stack:
            if self.average is not None and self.config.ema_evaluate:
                stack.enter_context(self.average.swapped())
            if self.config.correction and batches is not None:
                stack.enter_context(corrected(self.model, batches))
            yield

    def finish(self, batches: Iterable[Any] | None = None) -> None:
        """Make the model for good what :meth:`evaluation` makes it for a time: before it is converted or given away."""
        if self.average is not None and self.config.ema_evaluate:
            self.average.copy_to_model()
        if self.config.correction and batches is not None:
            correct(self.model, batches)

    def resources(self) -> dict[str, float | str]:
        """Widths and bytes now (:func:`.resources.resources`); "oscillating" and "frozen" shares where followed."""
        shares = {} if self.oscillation is None else self.oscillation.shares()
        return {**resources(self.model), **shares}

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values; shares memory with what it describes."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave; parts that the state lacks start anew.

        Raises:
            ValueError: a part that this training does not have, or one that does not fit the model.
        """
        parts = self._parts()
        for name, values in state.items():
            if name not in parts:
                raise ValueError(f"the state has {name!r}, which this training does not use; it has {', '.join(parts)}")
            parts[name].load_state_dict(values)

    def close(self) -> None:
        """Remove all hooks from model, teacher and optimizer."""
        self.schedule.close()
        if self.distillation is not None:
            self.distillation.close()

    def _parts(self) -> dict[str, Stateful]:
        parts = {"schedule": self.schedule, "average": self.average, "oscillation": self.oscillation}
        return {name: part for name, part in parts.items() if part is not None}


def _distillation(model: nn.Module, teacher: nn.Module | None, config: DistillationConfig) -> Distillation | None:
    if config.weight == 0:
        return None
    if teacher is None:
        raise ValueError(f"distillation with weight {config.weight} needs a teacher model, got none")
    return Distillation(model, teacher, config.names, config.kind)
