"""Folded batch norm over two processes equals the one over the joined batch."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from tests.leaving import leave_group
from third_party.quantization.modules import QuantConv2d

from .cases import sample


def _layer(norm_type: type[nn.Module]) -> QuantConv2d:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 3)
    conv.norm = norm_type(5)
    return QuantConv2d(conv, batch_norm="fold")


def _run(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    layer = _layer(nn.SyncBatchNorm)
    x = sample((4, 3, 6, 6))
    y = layer(x[:1] if rank == 0 else x[1:])
    y.pow(3).sum().backward()
    dist.all_reduce(layer.weight.grad)
    torch.save((y.detach(), layer.weight.grad, layer.norm.state_dict()), f"{folder}/{rank}.pt")
    leave_group()


@pytest.mark.skipif(not dist.is_available(), reason="torch was built without distributed training")
def test_processes_share_their_statistics(tmp_path: Path):
    mp.spawn(_run, args=(str(tmp_path),), nprocs=2)  # a fork would not survive that autograd has had threads
    (first, grad, state), (second, _, other_state) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    layer = _layer(nn.BatchNorm2d)
    y = layer(sample((4, 3, 6, 6)))
    y.pow(3).sum().backward()
    torch.testing.assert_close(torch.cat([first, second]), y.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(grad, layer.weight.grad, rtol=1e-4, atol=1e-3)
    for key, value in layer.norm.state_dict().items():
        torch.testing.assert_close(state[key], value)
        torch.testing.assert_close(other_state[key], value)
