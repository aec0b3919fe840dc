"""Ranges are the same in all processes, and processes without data take part."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from tests.leaving import leave_group
from third_party.quantization.quantizers import build_quantizer
from third_party.quantization.spec import LSQSpec, MinMaxSpec, Role

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch.distributed is not built in")


def _observe_on(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    tops = {}
    for name, data in {
        "both": [torch.tensor([0.0, 1.0]), torch.tensor([0.0, 3.0])],
        "one_negative": [torch.tensor([0.0, 1.0]), torch.tensor([-3.0, 1.0])],
        "one_empty": [torch.tensor([0.0, 5.0]), torch.empty(0)],
        "all_empty": [torch.empty(0), torch.empty(0)],
    }.items():
        quantizer = build_quantizer(MinMaxSpec(bits=4), Role.ACTIVATION)
        quantizer.observe(data[rank])
        tops[name] = (float(quantizer.grid().levels()[-1]), quantizer.signed, quantizer.batches_seen)
    if rank == 0:  # a weight's range must not wait for other processes
        build_quantizer(LSQSpec(), Role.WEIGHT)(torch.ones(4))
    torch.save(tops, f"{folder}/{rank}.pt")
    leave_group()


def test_processes_agree(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_observe_on, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert first == second
    assert first["both"] == (pytest.approx(2.0), False, 1)
    assert first["one_negative"] == (pytest.approx(2.0), True, 1)
    assert first["one_empty"] == (pytest.approx(5.0), False, 1)
    assert first["all_empty"][1:] == (False, 0)
