"""How far what a quantized model gives is from what the float one gives, with gradients."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...modules import QuantLayer
from ..batches import Run

_TINY = 1e-12

Lesson = Callable[[nn.Module, Any, Any], Tensor]


class Distance(NamedTuple):
    """Of a batch.

    Attributes:
        error: squared error of the last layers' outputs over their mean square, the mean of all outputs.
        lesson: the lesson's loss; None without one.
    """

    error: Tensor
    lesson: Tensor | None

    def detached(self) -> "Distance":
        """Without gradients."""
        return Distance(self.error.detach(), None if self.lesson is None else self.lesson.detach())


class Comparison:
    """Runs both models on the same batch, and compares what some layers give.

    Rows that a model chose itself, as proposals are, are others in the other model: outputs are compared that have a
    row for each image, and are of one shape in both.

    Args:
        model: prepared.
        reference: the model in floating point with modules of the same names.
        names: of the layers.
        run: of model and batch, runs the model.
        lesson: of the quantized model, the batch, and what ``run`` gave for it in floating point: a loss. It runs the
            model in place of ``run``.
    """

    def __init__(
        self, model: nn.Module, reference: nn.Module, names: Sequence[str], run: Run, lesson: Lesson | None
    ) -> None:
        self.model, self.reference, self.run, self.lesson = model, reference, run, lesson
        self._images = 0
        self._given: dict[str, list[Tensor]] = {}
        self._wanted: dict[str, list[Tensor]] = {}
        self._handles: list[RemovableHandle] = []
        for side, kept in ((model, self._given), (reference, self._wanted)):
            for name in names:
                self._handles.append(side.get_submodule(name).register_forward_hook(_recording(kept, name)))
        for layer in reference.modules():
            if isinstance(layer, QuantLayer):
                self._handles.append(layer.register_forward_pre_hook(self._count))

    def __call__(self, batch: Any) -> Distance:
        """The distance on a batch, differentiable in the quantized model.

        Raises:
            ValueError: nothing can be compared.
        """
        self._images = 0
        self._given.clear()
        self._wanted.clear()
        with torch.no_grad():
            found = self.run(self.reference, batch)
        loss = None
        if self.lesson is None:
            self.run(self.model, batch)
        else:
            loss = self.lesson(self.model, batch, found)
        pairs = [
            (given.float(), wanted.float())
            for name, calls in self._given.items()
            for given, wanted in zip(calls, self._wanted.get(name, []), strict=False)
            if given.shape == wanted.shape and len(given) == self._images
        ]
        errors = [(g - w).square().mean() / w.square().mean().clamp_min(_TINY) for g, w in pairs]
        if not errors and loss is None:
            raise ValueError(
                "tuning finds nothing to compare: no layer that results come from gives a row for each image. Give it "
                "a lesson, or leave it out"
            )
        error = torch.stack(errors).mean() if errors else torch.zeros(())
        return Distance(error, loss)

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()

    def _count(self, _layer: nn.Module, args: tuple[Any, ...]) -> None:
        self._images = self._images or len(args[0])


def _recording(kept: dict[str, list[Tensor]], name: str) -> Callable[..., None]:
    def record(_module: nn.Module, _args: Any, output: Tensor) -> None:
        # What follows may change it in place.
        kept.setdefault(name, []).append(output.clone())

    return record
