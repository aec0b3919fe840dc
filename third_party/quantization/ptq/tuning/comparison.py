"""How far what a quantized model gives is from what the float one gives, with gradients."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...modules import QuantLayer
from ...training.distillation import output_error
from ..batches import Run

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
    row for each image, and are of one shape in both. A layer that once gave others is left out from then on.

    Args:
        model: prepared.
        reference: the model in floating point with modules of the same names.
        names: of the layers.
        run: of model and batch, runs the model.
        lesson: of the quantized model, the batch, and what ``run`` gave for it in floating point: a loss.
        apart: the lesson runs the model in another way than ``run`` does, so that outputs are taken from a run of
            their own; otherwise the lesson's run does for both.

    Attributes:
        compared: names of the layers whose outputs have been compared.
        images: rows of what the first layer got in the last batch.

    Raises:
        ValueError: the reference lacks a layer.
    """

    def __init__(
        self,
        model: nn.Module,
        reference: nn.Module,
        names: Sequence[str],
        run: Run,
        lesson: Lesson | None,
        *,
        apart: bool = False,
    ) -> None:
        self.model, self.reference, self.run, self.lesson, self.apart = model, reference, run, lesson, apart
        self.compared: set[str] = set()
        self.images = 0
        self._chosen: set[str] = set()
        self._given: dict[str, list[Tensor]] = {}
        self._wanted: dict[str, list[Tensor]] = {}
        theirs = dict(reference.named_modules())
        if missing := [name for name in names if name not in theirs]:
            raise ValueError(f"the reference is of another model: it has no {', '.join(missing)}")
        self._handles: list[RemovableHandle] = []
        for name in names:
            self._handles.append(model.get_submodule(name).register_forward_hook(_recording(self._given, name)))
            self._handles.append(theirs[name].register_forward_hook(_recording(self._wanted, name)))
        layers = (layer for layer in reference.modules() if isinstance(layer, QuantLayer))
        self._handles += [layer.register_forward_pre_hook(self._count) for layer in layers]

    def __call__(self, batch: Any) -> Distance:
        """The distance on a batch, differentiable in the quantized model.

        Raises:
            ValueError: nothing can be compared.
        """
        self.images = 0
        self._wanted.clear()
        with torch.no_grad():
            found = self.run(self.reference, batch)
        loss = None
        self._given.clear()
        if self.lesson is not None:
            loss = self.lesson(self.model, batch, found)
        if self.lesson is None or self.apart:
            self._given.clear()
            self.run(self.model, batch)
        pairs = [
            pair for name, calls in self._given.items() for pair in self._pairs(name, calls, self._wanted.get(name, []))
        ]
        errors = [output_error(given, wanted) for given, wanted in pairs]
        if errors:
            return Distance(torch.stack(errors).mean(), loss)
        if loss is None:
            raise ValueError(
                "tuning finds nothing to compare: no layer that results come from gives a row for each image. Give it "
                "a lesson, or leave it out"
            )
        return Distance(loss.new_zeros(()), loss)

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()

    def _pairs(self, name: str, given: list[Tensor], wanted: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        same = [g.shape for g in given] == [w.shape for w in wanted]
        if not same or any(len(g) != self.images for g in given):
            self._chosen.add(name)
            self.compared.discard(name)
        if name in self._chosen:
            return []
        self.compared.add(name)
        return [(g.float(), w.float()) for g, w in zip(given, wanted, strict=True)]

    def _count(self, _layer: nn.Module, args: tuple[Any, ...]) -> None:
        self.images = self.images or len(args[0])


def _recording(kept: dict[str, list[Tensor]], name: str) -> Callable[..., None]:
    def record(_module: nn.Module, _args: Any, output: Tensor) -> None:
        # What follows may change it in place.
        kept.setdefault(name, []).append(output.clone())

    return record
