"""What all quantizers share: state, first data, switching on and off."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..grids.grid import Grid
from ..spec.quant_spec import QuantSpec
from ..spec.roles import Role

# Places in the buffer `state`, which travels with the weights: what a resumed or loaded model must know.
_BITS, _SEEN, _SIGNED, _ENABLED, _FROZEN = range(5)


class Quantizer(nn.Module):
    """Turns a tensor into one that takes few levels, and learns or observes where they are.

    A subclass defines :meth:`initialize`, :meth:`quantize` and :meth:`grid`. The range comes from the first data:
    of ``spec.warmup_batches`` training batches for activations, of the tensor itself for weights.

    Attributes:
        spec: the settings it was built from. ``bits`` may have been changed since.
        role: weight or activation.
        num_groups: ranges it keeps; 1 for a whole tensor.
        axis: dimension of the groups, None with one range.
        state: int32 ``Tensor[5]``: bits, batches seen, signed, enabled, frozen. Kept in the state dict.
    """

    state: Tensor

    def __init__(self, spec: QuantSpec, role: Role, num_channels: int | None = None, channel_axis: int = 0) -> None:
        super().__init__()
        self.spec = spec
        self.role = role
        self.num_groups = _num_groups(spec, num_channels)
        self.axis: int | None = None if spec.granularity == "tensor" else channel_axis
        signed = role is Role.WEIGHT if spec.signed is None else spec.signed
        self.register_buffer("state", torch.tensor([spec.bits, 0, int(signed), 1, 0], dtype=torch.int32))
        self._read_state()

    def group_shape(self) -> tuple[int, ...]:
        """Shape of parameters that exist once for each range: () or (G,)."""
        return () if self.axis is None else (self.num_groups,)

    # -- state ---------------------------------------------------------------------------------------------------

    def _read_state(self) -> None:
        # Plain attributes: reading a tensor in every forward would wait for the GPU and break compiled graphs.
        bits, seen, signed, enabled, frozen = self.state.tolist()
        self.bits: int = bits
        self.batches_seen: int = seen
        self.signed: bool = bool(signed)
        self.enabled: bool = bool(enabled)
        self.frozen: bool = bool(frozen)

    def _write_state(self, index: int, value: int) -> None:
        self.state[index] = value
        self._read_state()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._read_state()
        self.on_bits_changed()

    @property
    def initialized(self) -> bool:
        """Whether the range comes from data (or a checkpoint)."""
        return self.batches_seen > 0

    def set_bits(self, bits: int) -> None:
        """Change the width; the clipping range stays where it is.

        Raises:
            ValueError: the method does not have this width.
        """
        if bits not in self.spec.supported_bits:
            low, high = self.spec.supported_bits[0], self.spec.supported_bits[-1]
            raise ValueError(f"method {self.spec.method} has {low} to {high} bits, not {bits}")
        before, self_bits = self.bits, bits
        self._write_state(_BITS, self_bits)
        self.rescale(before)
        self.on_bits_changed()

    def set_enabled(self, enabled: bool) -> None:
        """Switch quantization on or off; off hands tensors through."""
        self._write_state(_ENABLED, int(enabled))

    def set_frozen(self, frozen: bool) -> None:
        """Stop or allow changes of the range, by gradients as by data."""
        self._write_state(_FROZEN, int(frozen))
        for parameter in self.parameters(recurse=False):
            parameter.requires_grad_(not frozen)

    def reset_range(self) -> None:
        """Forget the range; the next data set it anew."""
        self._write_state(_SEEN, 0)

    # -- for subclasses -----------------------------------------------------------------------------------------

    @abstractmethod
    def initialize(self, x: Tensor) -> None:
        """Set the range from data, without gradients; called with each batch of the warm-up."""

    @abstractmethod
    def quantize(self, x: Tensor) -> Tensor:
        """The quantized tensor, differentiable."""

    @abstractmethod
    def grid(self) -> Grid:
        """The levels as they are now, detached."""

    def rescale(self, bits_before: int) -> None:
        """Keep the clipping range after a change of bits; methods whose parameter is a step override this."""

    def on_bits_changed(self) -> None:
        """Called when bits or sign may have changed; for derived constants."""

    def transform(self, x: Tensor) -> Tensor:
        """What the method does to a tensor before the levels come into play; nothing by default."""
        return x

    # -- use ----------------------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """Quantize ``x``, any shape.

        Raises:
            RuntimeError: an activation's range is needed, but no data has come by.
            FloatingPointError: the data of the warm-up is not finite.
        """
        if not self.enabled:
            return self._keep_in_graph(x)
        if self.batches_seen < self._warmup_batches() and (self.training or self.role is Role.WEIGHT):
            self.observe(x)
        if not self.initialized:
            raise RuntimeError(
                "a quantizer has no range yet: train or calibrate the model, or load a quantized checkpoint, before "
                "it predicts"
            )
        return self.quantize(x)

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Let data of the warm-up, or of a calibration, take part in the range."""
        if self.frozen or x.numel() == 0:
            return
        values = x.detach().float()
        if not bool(values.isfinite().all()):
            raise FloatingPointError(
                f"a quantizer ({self.spec.describe()}) met values that are NaN or infinite while setting its range"
            )
        if self.role is Role.ACTIVATION and self.spec.signed is None and not self.signed:
            negative = _agree((values.min() < 0).float(), dist.ReduceOp.MAX if dist.is_available() else None)
            if bool(negative > 0):
                self._write_state(_SIGNED, 1)
                self.on_bits_changed()
        self.initialize(values)
        self._write_state(_SEEN, self.batches_seen + 1)

    def _warmup_batches(self) -> int:
        return 1 if self.role is Role.WEIGHT else self.spec.warmup_batches

    def _keep_in_graph(self, x: Tensor) -> Tensor:
        # Processes exchange gradients of all parameters: one that takes no part would be waited for.
        if not (self.training and dist.is_available() and dist.is_initialized()):
            return x
        for parameter in self.parameters(recurse=False):
            if parameter.requires_grad:
                x = x + 0.0 * parameter.sum()
        return x

    @torch.no_grad()
    def integers(self, x: Tensor) -> Tensor:
        """The codes that :meth:`quantize` gives to ``x`` on :meth:`grid`: int32, in its shape.

        Methods whose thresholds do not lie midway between the levels override this.
        """
        return self.grid().codes(self.transform(x.detach().float()))

    def over_processes(self, total: Tensor) -> Tensor:
        """The sum of a statistic over all processes; they all must call this equally often."""
        return _agree(total, dist.ReduceOp.SUM if dist.is_available() else None)

    def average(self, new: Tensor, old: Tensor) -> Tensor:
        """Mean over the batches of the warm-up so far and over all processes; for :meth:`initialize`."""
        new = _agree(new, dist.ReduceOp.SUM if dist.is_available() else None) / _world_size()
        return new if self.batches_seen == 0 else old + (new - old) / (self.batches_seen + 1)

    def extra_repr(self) -> str:
        return self.spec.describe() + ("" if self.bits == self.spec.bits else f", now {self.bits} bits")


def _num_groups(spec: QuantSpec, num_channels: int | None) -> int:
    if spec.granularity == "tensor":
        return 1
    if num_channels is None:
        raise ValueError(f"granularity {spec.granularity!r} needs the number of channels")
    if spec.granularity == "channel":
        return num_channels
    groups = int(spec.granularity)
    if num_channels % groups:
        raise ValueError(f"granularity of {groups} groups does not divide {num_channels} channels")
    return groups


def _world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _agree(value: Tensor, operation: Any) -> Tensor:
    """The sum or maximum over all processes."""
    if _world_size() == 1:
        return value
    value = value.clone()
    dist.all_reduce(value, operation)
    return value
