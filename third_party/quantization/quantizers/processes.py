"""Statistics over all processes of a training."""

from typing import Literal

import torch.distributed as dist
from torch import Tensor


def is_distributed() -> bool:
    """Whether a process group exists."""
    return dist.is_available() and dist.is_initialized()


def reduce_over_processes(value: Tensor, operation: Literal["sum", "max"]) -> Tensor:
    """The sum or maximum of a tensor over all processes, which all must call this equally often."""
    if not is_distributed():
        return value
    value = value.clone()
    dist.all_reduce(value, dist.ReduceOp.SUM if operation == "sum" else dist.ReduceOp.MAX)
    return value
