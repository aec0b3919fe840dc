"""The hook that evaluates the model during training."""

from collections.abc import Callable, Mapping
from typing import Any

from detectron2.engine.rng import preserve_rng
from detectron2.engine.trainer_base import HookBase
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm


class EvalHook(HookBase):
    """Calls an evaluation every so many iterations, and after the training.

    The random generators are afterwards as they were, so that a training does not depend on how often it is
    evaluated. All processes call the function.

    Args:
        eval_period: iterations between two evaluations; 0 for none but the last.
        eval_function: returns a, possibly nested, dict of numbers.
        eval_after_train: evaluate once more after the last iteration.
    """

    def __init__(self, eval_period: int, eval_function: Callable[[], Any], eval_after_train: bool = True) -> None:
        self._period = eval_period
        self._func = eval_function
        self._eval_after_train = eval_after_train
        self._last_evaluated: int | None = None

    def _do_eval(self) -> None:
        with preserve_rng():
            results = self._func()
        self._last_evaluated = min(self.trainer.iter + 1, self.trainer.max_iter)
        if results:
            if not isinstance(results, dict):
                raise TypeError(f"an evaluation must return a dict of numbers, got {type(results).__name__}")
            self.trainer.storage.put_scalars(**_as_floats(flatten_results_dict(results)), smoothing_hint=False)
        # Only the main process has results to write: the others must not run ahead into the next step.
        comm.synchronize()

    def after_step(self) -> None:
        next_iter = self.trainer.iter + 1
        # The last iteration is evaluated after the training, where other hooks have finished with the model.
        if self._period > 0 and next_iter % self._period == 0 and next_iter != self.trainer.max_iter:
            self._do_eval()

    def after_train(self) -> None:
        finished = self.trainer.iter + 1 >= self.trainer.max_iter
        if self._eval_after_train and finished and self._last_evaluated != self.trainer.max_iter:
            self._do_eval()
        # Usually a closure over the trainer.
        del self._func


def _as_floats(results: Mapping[str, Any]) -> dict[str, float]:
    numbers = {}
    for name, value in results.items():
        try:
            numbers[name] = float(value)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"an evaluation must return a nested dict of numbers, but {name!r} is {value!r}"
            ) from error
    return numbers
