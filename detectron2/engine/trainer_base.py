"""The training loop without any idea of what a step does, and the hooks that it calls."""

import logging
import weakref
from typing import Any

from detectron2.utils.events import EventStorage

logger = logging.getLogger("detectron2.engine.train_loop")


class HookBase:
    """Something to do around the steps of a training.

    A trainer calls, for every hook in the order of registration::

        before_train()
        for iter in range(start_iter, max_iter):
            before_step()
            run_step()          # the trainer's own; calls after_backward() once the gradients are there
            after_step()
        iter += 1
        after_train()           # also after an exception: iter + 1 >= max_iter tells a training that ran to its end

    Attributes:
        trainer: the trainer, set at registration (a weak reference).
    """

    trainer: "TrainerBase" = None

    def before_train(self) -> None:
        """Called once, before the first iteration."""

    def after_train(self) -> None:
        """Called once, after the last iteration or an exception."""

    def before_step(self) -> None:
        """Called before each iteration."""

    def after_backward(self) -> None:
        """Called in each iteration between the backward pass and the optimizer's step."""

    def after_step(self) -> None:
        """Called after each iteration."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs to know; a hook that returns something also has ``load_state_dict``."""
        return {}


class TrainerBase:
    """Runs ``run_step`` from one iteration to another and calls the hooks.

    Attributes:
        iter: the current iteration.
        start_iter: the iteration that this process began at.
        max_iter: the iteration to end before. A hook may lower it to end the training early.
        storage: metrics of this training; exists during :meth:`train`.
    """

    iter: int
    start_iter: int
    max_iter: int
    storage: EventStorage

    def __init__(self) -> None:
        self._hooks: list[HookBase] = []
        self.iter = 0
        self.start_iter = 0

    def register_hooks(self, hooks: list[HookBase | None]) -> None:
        """Appends hooks, to be called after those already there. None entries are left out.

        Raises:
            TypeError: an entry is no hook.
        """
        for hook in hooks:
            if hook is None:
                continue
            if not isinstance(hook, HookBase):
                raise TypeError(f"{type(hook).__name__} is not a HookBase")
            # The trainer owns the hook: a strong reference back would keep model and data alive until a collection.
            hook.trainer = weakref.proxy(self)
            self._hooks.append(hook)

    def train(self, start_iter: int, max_iter: int) -> None:
        """Runs the iterations ``start_iter`` (included) to ``max_iter`` (excluded)."""
        logger.info("Starting training from iteration %d", start_iter)
        self.iter = self.start_iter = start_iter
        self.max_iter = max_iter
        with EventStorage(start_iter) as self.storage:
            try:
                self.before_train()
                while self.iter < self.max_iter:
                    self.before_step()
                    self.run_step()
                    self.after_step()
                    self.iter += 1
            except Exception:
                logger.exception("Training failed at iteration %d:", self.iter)
                raise
            finally:
                self.after_train()

    def before_train(self) -> None:
        """Calls the hooks' ``before_train``."""
        for hook in self._hooks:
            hook.before_train()

    def after_train(self) -> None:
        """Calls the hooks' ``after_train``, whose metrics belong to the iteration reached."""
        self.storage.iter = self.iter
        for hook in self._hooks:
            hook.after_train()

    def before_step(self) -> None:
        """Calls the hooks' ``before_step``, and lets metrics of this step carry its iteration."""
        self.storage.iter = self.iter
        for hook in self._hooks:
            hook.before_step()

    def after_backward(self) -> None:
        """Calls the hooks' ``after_backward``."""
        for hook in self._hooks:
            hook.after_backward()

    def after_step(self) -> None:
        """Calls the hooks' ``after_step``."""
        for hook in self._hooks:
            hook.after_step()

    def run_step(self) -> None:
        """One iteration, defined by a subclass."""
        raise NotImplementedError(f"{type(self).__name__} does not define run_step()")

    def state_dict(self) -> dict[str, Any]:
        """``iteration`` and the ``hooks``' states by their class's qualified name."""
        state: dict[str, Any] = {"iteration": self.iter}
        hooks = {name: hook_state for name, hook in self._named_hooks() if (hook_state := hook.state_dict())}
        if hooks:
            state["hooks"] = hooks
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave. States of hooks that are not registered are left out."""
        self.iter = state_dict["iteration"]
        hooks = dict(self._named_hooks())
        for name, hook_state in state_dict.get("hooks", {}).items():
            if name in hooks:
                hooks[name].load_state_dict(hook_state)
            else:
                logger.warning("The checkpoint has a state of hook %s, which this training does not use", name)

    def _named_hooks(self) -> list[tuple[str, HookBase]]:
        """Hooks with unique names: the second of a class is ``name#2``."""
        named: dict[str, HookBase] = {}
        for hook in self._hooks:
            base = name = f"{type(hook).__module__}.{type(hook).__qualname__}"
            count = 1
            while name in named:
                count += 1
                name = f"{base}#{count}"
            named[name] = hook
        return list(named.items())
