"""Moving average of weights and step sizes (arXiv 2311.05109, section 4.1)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..quantizers.quantizer import Quantizer
from .restore import restored


class WeightAverage:
    """Exponential moving average of all floating-point parameters and buffers, step sizes and batch norm among them.

    After n updates with decay d the average of a tensor w is ``sum_i d^(n-i) w_i / sum_i d^(n-i)``: corrected for its
    start (as in Adam, arXiv 1412.6980, section 3), so that the first weights have no more part in it than later ones.

    A quantizer's own tensors start anew whenever its bits, its range or its switches have changed from outside: the
    step of 8 bits and that of 4 bits have no meaningful mean.

    Args:
        model: read at each update, written to only in :meth:`swapped` and :meth:`copy_to_model`.
        decay: d, at least 0 and below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay of a moving average must be at least 0 and below 1, got {decay!r}")
        self.model = model
        self.decay = decay
        self._average: dict[str, Tensor] = {}
        self._updates: dict[str, int] = {}
        self._quantizers: dict[str, list[int]] = {}

    @torch.no_grad()
    def update(self) -> None:
        """Let the present weights take part; call once after each optimizer step."""
        self._restart_changed_quantizers()
        groups: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
        for name, value in float_tensors(self.model).items():
            updates = self._updates[name] = self._updates.get(name, 0) + 1
            value = value.detach().to(torch.promote_types(value.dtype, torch.float32))
            if updates == 1:
                self._average[name] = value.clone()
            else:
                averages, values = groups.setdefault(updates, ([], []))
                averages.append(self._average[name])
                values.append(value)
        for updates, (averages, values) in groups.items():
            weight = (1.0 - self.decay) / (1.0 - self.decay**updates)
            torch._foreach_lerp_(averages, values, weight)

    def _restart_changed_quantizers(self) -> None:
        for name, module in self.model.named_modules():
            if not isinstance(module, Quantizer):
                continue
            now = [module.bits, module.batches_seen, module.signed, module.enabled, module.frozen]
            if self._quantizers.get(name) != now:
                self._quantizers[name] = [int(value) for value in now]
                for own in float_tensors(module):
                    self._updates.pop(f"{name}.{own}", None)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Within the context the model has the averages; afterwards, also after an exception, its own weights."""
        with restored(float_tensors(self.model).values()):
            self.copy_to_model()
            yield

    @torch.no_grad()
    def copy_to_model(self) -> None:
        """Give the model the averages for good; tensors that have none yet keep their values."""
        self._restart_changed_quantizers()
        for name, tensor in float_tensors(self.model).items():
            if name in self._updates:
                tensor.copy_(self._average[name])

    def state_dict(self) -> dict[str, Any]:
        """Averages, how many updates each has had, and the quantizers' states they belong to."""
        return {
            "average": dict(self._average),
            "updates": dict(self._updates),
            "quantizers": {name: list(state) for name, state in self._quantizers.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave.

        Raises:
            ValueError: a tensor that the model does not have, or in another shape.
        """
        tensors = float_tensors(self.model)
        for name, value in state["average"].items():
            if name not in tensors or tensors[name].shape != value.shape:
                here = tuple(tensors[name].shape) if name in tensors else "no such tensor"
                raise ValueError(f"moving average of {name!r}: {tuple(value.shape)} in the state, {here} in the model")
        self._average = {name: value.to(tensors[name].device).clone() for name, value in state["average"].items()}
        self._updates = dict(state["updates"])
        self._quantizers = {name: list(values) for name, values in state["quantizers"].items()}


def float_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Floating-point parameters and buffers by qualified name; shared ones once."""
    return {
        name: tensor
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]
        if tensor.is_floating_point()
    }
