"""Runs of a model that stop at each layer, so that all batches reach a layer before any goes on."""

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Stop:
    """Where a run has stopped: in front of a layer, with the arguments it is about to get."""

    name: str
    args: tuple[Any, ...]


class _Ended(BaseException):
    """Ends the thread of a run that is not wanted any more; no model's ``except Exception`` holds it."""


class PausedRun:
    """One run of a model in a thread of its own, one of the two waiting at any time.

    Args:
        run: the run; without gradients.
    """

    def __init__(self, run: Callable[[], object]) -> None:
        self._run = run
        self._go, self._there = threading.Semaphore(0), threading.Semaphore(0)
        self._stop: Stop | None = None
        self._failure: BaseException | None = None
        self._unwanted = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def advance(self) -> Stop | None:
        """Go on to the next stop; None at the end. What the run raises comes out here."""
        if not self._thread.is_alive():
            return None
        self._stop = None
        self._go.release()
        self._there.acquire()
        if self._failure is not None:
            raise self._failure
        return self._stop

    def close(self) -> None:
        """End the run where it is."""
        self._unwanted = True
        self._go.release()
        self._thread.join()

    def wait_at(self, stop: Stop) -> None:
        """From inside the run: stop here."""
        self._stop = stop
        self._there.release()
        self._wait()

    def _wait(self) -> None:
        self._go.acquire()
        if self._unwanted:
            raise _Ended

    def _work(self) -> None:
        try:
            self._wait()
            _CURRENT.run = self
            with torch.no_grad():
                self._run()
        except _Ended:
            pass
        except BaseException as failure:  # noqa: BLE001 - advance() raises it
            self._failure = failure
        self._there.release()


_CURRENT = threading.local()


@contextmanager
def paused_runs(
    model: nn.Module, runs: Iterable[Callable[[], object]], layers: Iterable[str]
) -> Iterator[list[PausedRun]]:
    """Runs of a model, each about to begin; :meth:`PausedRun.advance` takes one to its next layer.

    A layer may be changed while all runs wait in front of it. Runs by others stop nowhere.

    Args:
        model: whose runs they are.
        runs: each a run.
        layers: names of the modules in front of which runs stop; they are called with positional arguments.
    """

    def stop(name: str, args: tuple[Any, ...]) -> None:
        current = getattr(_CURRENT, "run", None)
        if current is not None:
            current.wait_at(Stop(name, args))

    handles = [
        model.get_submodule(name).register_forward_pre_hook(lambda _m, args, name=name: stop(name, args))
        for name in layers
    ]
    made: list[PausedRun] = []
    try:
        made += [PausedRun(run) for run in runs]
        yield made
    finally:
        for one in made:
            one.close()
        for handle in handles:
            handle.remove()


def held_bytes(model: nn.Module, run: Callable[[], object]) -> int:
    """Memory that a run holds at most in front of a module, in outputs of modules that are still needed."""
    alive: dict[int, tuple[weakref.ref[Tensor], int]] = {}
    most = 0

    def before(_module: nn.Module, _args: Any) -> None:
        nonlocal most
        for pointer in [pointer for pointer, (tensor, _) in alive.items() if tensor() is None]:
            del alive[pointer]
        most = max(most, sum(size for _, size in alive.values()))

    def after(_module: nn.Module, _args: Any, output: Any) -> None:
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                alive[storage.data_ptr()] = weakref.ref(tensor), storage.nbytes()

    handles = []
    for module in model.modules():
        handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return most
