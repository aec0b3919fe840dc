"""What all quantizers share: first data, use, levels."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from ..grids.grid import Grid
from ..spec.quant_spec import QuantSpec
from ..spec.roles import Role
from .processes import is_distributed, reduce_over_processes
from .state import QuantizerState


class Quantizer(QuantizerState):
    """Turns a tensor into one that takes few levels, and learns or observes where they are.

    A subclass defines :meth:`initialize`, :meth:`quantize` and :meth:`grid`. The range comes from the first data:
    of ``spec.warmup_batches`` training batches for activations, of the tensor itself for weights.

    Attributes:
        num_groups: ranges it keeps; 1 for a whole tensor.
        axis: dimension of the groups, None with one range.
        decayed_parameters: names of own parameters that the method wants under weight decay; the others want none.
    """

    decayed_parameters: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, spec: QuantSpec, role: Role, num_channels: int | None = None, channel_axis: int = 0) -> None:
        super().__init__(spec, role)
        self.num_groups = _num_groups(spec, num_channels)
        self.axis: int | None = None if spec.granularity == "tensor" else channel_axis
        # False while an empty tensor of this process is averaged with other processes' data.
        self._has_data = True

    def group_shape(self) -> tuple[int, ...]:
        """Shape of parameters that exist once for each range: () or (G,)."""
        return () if self.axis is None else (self.num_groups,)

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
        if self.wants_data():
            self.observe(x)
        if not self.initialized and x.numel() == 0:
            return self._keep_in_graph(x)
        if not self.initialized:
            raise RuntimeError(
                "a quantizer has no range yet: train or calibrate the model, or load a quantized checkpoint, before "
                "it predicts"
            )
        return self.quantize(x)

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Let data of the warm-up, or of a calibration, take part in the range.

        Empty tensors count only where other processes have data, since all processes average together.

        Raises:
            FloatingPointError: values that are NaN or infinite.
            ValueError: the data are negative and the method has no levels for that.
        """
        if self.frozen:
            return
        values = x.detach().float()
        if not bool(values.isfinite().all()):
            raise FloatingPointError(
                f"a quantizer ({self.spec.describe()}) met values that are NaN or infinite while setting its range"
            )
        has_data = x.numel() > 0
        if not has_data:
            values = values.new_zeros([max(size, 1) for size in x.shape])
        facts = torch.stack([values.new_tensor(float(has_data)), (values.min() < 0).float()])
        anywhere, negative = (facts if self._alone else reduce_over_processes(facts, "max")).tolist()
        if not anywhere:
            return
        if negative and self.role is Role.ACTIVATION and self.spec.signed is None and not self.signed:
            self.become_signed()
        self._has_data = has_data
        self.initialize(values)
        self._has_data = True
        self.count_batch()

    @property
    def _alone(self) -> bool:
        # Weights are the same in all processes, of which perhaps only one evaluates.
        return self.role is Role.WEIGHT or not is_distributed()

    def wants_data(self) -> bool:
        """Whether the next forward lets its input take part in the range."""
        warming_up = self.enabled and not self.frozen and self.batches_seen < self._warmup_batches()
        return warming_up and (self.training or self.role is Role.WEIGHT)

    def _warmup_batches(self) -> int:
        return 1 if self.role is Role.WEIGHT else self.spec.warmup_batches

    def _keep_in_graph(self, x: Tensor) -> Tensor:
        # Processes exchange gradients of all parameters: one that takes no part would be waited for.
        if not (self.training and is_distributed()):
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
        """The sum of an activation's statistic over all processes; they all must call this equally often."""
        return total if self._alone else reduce_over_processes(total, "sum")

    def average(self, new: Tensor, old: Tensor) -> Tensor:
        """Mean over the batches of the warm-up so far and over the processes with data; for :meth:`initialize`."""
        if not self._alone:
            share = new.new_tensor([float(self._has_data)])
            summed = reduce_over_processes(torch.cat([new.reshape(-1) * share, share]), "sum")
            new = (summed[:-1] / summed[-1]).view_as(new)
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
