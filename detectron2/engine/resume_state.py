"""What each process must remember, beside weights and optimizer, to go on exactly where it stopped."""

import logging
from collections.abc import Iterable
from typing import Any

from torch import nn

from detectron2.utils import comm

from .model_state import collect_training_state, load_training_state
from .rng import get_rng_state, set_rng_state

logger = logging.getLogger(__name__)


class ResumeState:
    """States of all processes: random generators, position in the data, modules' numbers outside the state dict.

    Only the main process writes checkpoints, so it has to be told the states of the others before it does:
    :meth:`gather`, called by all. A checkpoint at another time holds the main process's state only.
    """

    def __init__(self) -> None:
        self._gathered_at = -1
        self._gathered: list[dict[str, Any]] = []
        self._restored_rng: dict[str, Any] | None = None

    def gather(self, iteration: int, model: nn.Module, data_loader: Iterable[Any]) -> None:
        """Brings the states of all processes to the main one. All call it, at the same iteration."""
        self._gathered = comm.gather(_collect(model, data_loader))
        self._gathered_at = iteration

    def state_dict(self, iteration: int, model: nn.Module, data_loader: Iterable[Any]) -> list[dict[str, Any]]:
        """The states by rank, as tensors and plain values."""
        own = _collect(model, data_loader)
        if self._gathered and self._gathered_at == iteration and comm.is_main_process():
            return [own, *self._gathered[1:]]
        return [own]

    def load(self, states: list[dict[str, Any]] | None, model: nn.Module, data_loader: Iterable[Any]) -> None:
        """Restores this process. Without a state for each process nothing is, and a warning says so."""
        if not states or len(states) != comm.get_world_size():
            logger.warning(
                "The checkpoint has the random state and data position of %d processes, this run has %d: "
                "weights and optimizer go on, the data starts anew",
                len(states or ()),
                comm.get_world_size(),
            )
            return
        state = states[comm.get_rank()]
        load_training_state(model, state["modules"])
        if "loader" in state and hasattr(data_loader, "load_state_dict"):
            data_loader.load_state_dict(state["loader"])
        self._restored_rng = state["rng"]
        set_rng_state(self._restored_rng)

    def start(self) -> None:
        """Right before the first step: what was drawn between loading and now is taken back."""
        if self._restored_rng is not None:
            set_rng_state(self._restored_rng)
            self._restored_rng = None


def _collect(model: nn.Module, data_loader: Iterable[Any]) -> dict[str, Any]:
    state = {"rng": get_rng_state(), "modules": collect_training_state(model)}
    if hasattr(data_loader, "state_dict"):
        state["loader"] = data_loader.state_dict()
    return state
