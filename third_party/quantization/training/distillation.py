"""Learning from the float model: features or outputs of named modules are drawn to those of a teacher."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..quantizers.quantizer import Quantizer
from ..spec.choices import check_choice, hint
from ..spec.names import NamePattern
from .recorder import Recorder

# The smallest length by which a tensor is divided.
_TINY = 1e-12


def feature_error(student: Tensor, teacher: Tensor) -> Tensor:
    """``|s / |s| - t / |t||^2``, each image's features taken as one vector of length 1; mean over images, 0 to 4."""
    s, t = student.flatten(1), teacher.flatten(1)
    s = s / s.norm(dim=1, keepdim=True).clamp_min(_TINY)
    t = t / t.norm(dim=1, keepdim=True).clamp_min(_TINY)
    return (s - t).square().sum(1).mean()


def output_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared error relative to the teacher's mean square, so that logits and distances weigh alike."""
    return (student - teacher).square().mean() / teacher.square().mean().clamp_min(_TINY)


DISTILLATION_ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "features": feature_error,
    "outputs": output_error,
}


class Distillation:
    """Compares what named modules give in the student and in the teacher, on the same batch.

    The student's training forward is left as it is, whatever it returns: hooks record its input and what the named
    modules give. :meth:`loss` runs the teacher on that input, in evaluation mode and without gradients, and stops it
    as soon as its named modules have been called as often as the student's.

    Args:
        student: the model in training, without a parallel wrapper.
        teacher: a model with modules of the same names; frozen here.
        names: patterns of module names, as in rules; empty: the model's own output, for models that give in training
            what they give in evaluation.
        kind: "features" (:func:`feature_error`) or "outputs" (:func:`output_error`). Modules may give a tensor, or
            lists, tuples and dicts of tensors.

    Raises:
        ValueError: an unknown kind, or a pattern that matches no module of the student, or a match that the teacher
            does not have.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, names: Sequence[str], kind: str) -> None:
        check_choice("kind of distillation", kind, DISTILLATION_ERRORS)
        self.error = DISTILLATION_ERRORS[kind]
        self.student = student
        self.teacher = teacher.requires_grad_(False)
        modules = _modules_named(student, names)
        theirs = dict(teacher.named_modules())
        for name in modules:
            if name not in theirs:
                raise ValueError(f"the teacher has no module {name!r}, which the student has.{hint(name, theirs)}")
        self._seen = Recorder(student, modules, keeps_input=True)
        self._taught = Recorder(teacher, {name: theirs[name] for name in modules})

    def loss(self) -> Tensor:
        """Mean error over all recorded tensors of the last training forward; gradients reach the student only.

        Raises:
            RuntimeError: the student has not run in training since the last call.
            ValueError: student and teacher give tensors of different shapes, or not equally many.
        """
        outputs, batch = self._seen.take()
        if batch is None or not outputs:
            raise RuntimeError("distillation found no training forward of the student that uses the modules it names")
        self.teacher.eval()
        with torch.no_grad(), batch.autocast():
            self._taught.run_until({name: len(calls) for name, calls in outputs.items()}, batch)
        taught, _ = self._taught.take()
        errors = [
            self.error(student.float(), teacher.float())
            for name, calls in outputs.items()
            for student, teacher in _pairs(name, calls, taught.get(name, []))
        ]
        return torch.stack(errors).mean()

    def close(self) -> None:
        """Remove the hooks from both models."""
        self._seen.close()
        self._taught.close()


def _modules_named(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    if not names:
        return {"": model}
    modules = {name: module for name, module in model.named_modules() if name and not isinstance(module, Quantizer)}
    found: dict[str, nn.Module] = {}
    for text in names:
        pattern = NamePattern(text)
        matches = {name: module for name, module in modules.items() if pattern.matches(name)}
        if not matches:
            raise ValueError(f"distillation names {text!r}, which matches no module.{pattern.advice(modules)}")
        found.update(matches)
    return found


def _pairs(name: str, student: list[Any], teacher: list[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    mine, theirs = list(_tensors(student)), list(_tensors(teacher))
    if [t.shape for t in mine] != [t.shape for t in theirs]:
        shapes = [[tuple(t.shape) for t in tensors] for tensors in (mine, theirs)]
        raise ValueError(f"module {name!r} gives tensors {shapes[0]} in the student, {shapes[1]} in the teacher")
    return zip(mine, theirs, strict=True)


def _tensors(value: Any) -> Iterator[Tensor]:
    """All floating-point tensors in nested lists, tuples and dicts, in their order."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
        return
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    for item in items:
        yield from _tensors(item)
