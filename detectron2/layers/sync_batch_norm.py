"""Batch normalisation over the batches of all processes, with differentiable communication only."""

from typing import Any

import torch
from torch import Tensor, nn

from detectron2.utils import comm


def differentiable_all_reduce(input: Tensor) -> Tensor:
    """Sum of ``input`` over all processes. The gradient of each process's input is the sum of all gradients."""
    if comm.get_world_size() == 1:
        return input
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(input)


class NaiveSyncBatchNorm(nn.BatchNorm2d):
    """``torch.nn.SyncBatchNorm`` for CPU tensors and for batches whose sizes differ between the processes.

    One process normalises exactly as ``BatchNorm2d`` does. Several exchange the first two moments, so that
    communication is one vector of ``2 * C`` (+ 1) numbers a layer.
    """

    def __init__(self, *args: Any, stats_mode: str = "", **kwargs: Any) -> None:
        """
        Args:
            args, kwargs: as for ``torch.nn.BatchNorm2d``.
            stats_mode: "" gives every process the same weight, so its batch must not be empty; "N" weighs it
                by its number of images, which may be 0.

        Raises:
            ValueError: another ``stats_mode``.
        """
        super().__init__(*args, **kwargs)
        if stats_mode not in ("", "N"):
            raise ValueError(f'NaiveSyncBatchNorm: stats_mode is "" or "N", got {stats_mode!r}')
        self._stats_mode = stats_mode

    def forward(self, input: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` -> the same shape and type."""
        world_size = comm.get_world_size()
        if world_size == 1 or not self.training:
            return super().forward(input)
        if self._stats_mode == "" and input.shape[0] == 0:
            raise ValueError('NaiveSyncBatchNorm: a process has an empty batch; use stats_mode="N" ("naiveSyncBN_N")')

        x = input.float()  # moments in half precision overflow
        mean, mean_of_squares, momentum = self._global_moments(x, world_size)
        variance = mean_of_squares - mean * mean
        self._update_statistics(mean.detach(), variance.detach(), momentum)

        scale = torch.rsqrt(variance + self.eps)
        shift = -mean * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        return torch.addcmul(shift.view(1, -1, 1, 1), x, scale.view(1, -1, 1, 1)).to(input.dtype)

    def _global_moments(self, x: Tensor, world_size: int) -> tuple[Tensor, Tensor, Tensor | float]:
        """First and second moment over all processes, each ``Tensor[C]``, and the momentum for this step."""
        images = x.shape[0]
        if images > 0:
            moments = torch.cat([x.mean(dim=(0, 2, 3)), (x * x).mean(dim=(0, 2, 3))])
        else:
            # takes part in the communication with nothing to say, and in the backward pass too
            moments = x.new_zeros(2 * x.shape[1]) + x.sum()
        if self._stats_mode == "":
            mean, mean_of_squares = differentiable_all_reduce(moments).div(world_size).chunk(2)
            return mean, mean_of_squares, self.momentum
        total = differentiable_all_reduce(images * torch.cat([moments, moments.new_ones(1)]))
        count = total[-1].detach()
        mean, mean_of_squares = (total[:-1] / count.clamp(min=1)).chunk(2)
        return mean, mean_of_squares, self.momentum * count.clamp(max=1)  # no image anywhere: no update

    @torch.no_grad()
    def _update_statistics(self, mean: Tensor, variance: Tensor, momentum: Tensor | float) -> None:
        if self.track_running_stats:
            self.num_batches_tracked += 1
            self.running_mean += momentum * (mean - self.running_mean)
            self.running_var += momentum * (variance - self.running_var)
