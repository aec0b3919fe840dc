"""Exchange between processes, alone and with two gloo processes."""

import os
import socket
import time

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from detectron2.utils import comm
from tests.leaving import leave_group


def test_single_process_needs_no_initialisation():
    assert (comm.get_rank(), comm.get_world_size(), comm.get_local_rank(), comm.get_local_size()) == (0, 1, 0, 1)
    assert comm.is_main_process()
    comm.synchronize()
    assert comm.all_gather({"a": 1}) == [{"a": 1}]
    assert comm.gather({"a": 1}) == [{"a": 1}]
    losses = {"loss": torch.tensor(1.0)}
    assert comm.reduce_dict(losses) is losses
    assert 0 <= comm.shared_random_seed() < 2**31


def test_local_group_explains_what_is_missing():
    with pytest.raises(RuntimeError, match="create_local_process_group"):
        comm.get_local_process_group()


def _check(rank: int, results) -> None:
    """What one of two processes sees; runs inside the process."""
    assert (comm.get_rank(), comm.get_world_size(), comm.is_main_process()) == (rank, 2, rank == 0)
    os.environ.update(LOCAL_RANK="5", LOCAL_WORLD_SIZE="8")
    assert (comm.get_local_rank(), comm.get_local_size()) == (5, 8)  # torchrun's word, while there is no group
    del os.environ["LOCAL_RANK"], os.environ["LOCAL_WORLD_SIZE"]
    with pytest.raises(RuntimeError, match="local group"):
        comm.get_local_rank()
    with pytest.raises(ValueError, match="does not divide"):
        comm.create_local_process_group(3)
    comm.create_local_process_group(2)
    assert (comm.get_local_rank(), comm.get_local_size()) == (rank, 2)
    comm.synchronize()

    # objects of different type and size
    data = {"rank": rank, "payload": list(range(1000 * rank)), "tensor": torch.arange(rank + 1)}
    everyone = comm.all_gather(data)
    assert [d["rank"] for d in everyone] == [0, 1]
    assert [len(d["payload"]) for d in everyone] == [0, 1000]
    assert torch.equal(everyone[1]["tensor"], torch.arange(2))
    assert [d["rank"] for d in comm.all_gather(data, group=comm.get_local_process_group())] == [0, 1]
    assert comm.gather(rank, dst=0) == ([0, 1] if rank == 0 else [])
    assert comm.gather(rank, dst=1) == ([0, 1] if rank == 1 else [])

    torch.manual_seed(rank)
    assert len(set(comm.all_gather(comm.shared_random_seed()))) == 1

    # names in another order must not mix the values up
    names = ["a", "b"] if rank == 0 else ["b", "a"]
    values = {"a": torch.tensor(1.0 + rank), "b": torch.tensor(10.0 + rank)}
    reduced = comm.reduce_dict({name: values[name] for name in names})
    summed = comm.reduce_dict(values, average=False)
    if rank == 0:
        assert {k: v.item() for k, v in reduced.items()} == {"a": 1.5, "b": 10.5}
        assert {k: v.item() for k, v in summed.items()} == {"a": 3.0, "b": 21.0}
    results.put(rank)


def _worker(rank: int, port: int, results) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    try:
        _check(rank, results)
        leave_group()
    finally:
        dist.destroy_process_group()


def test_two_processes():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    results = mp.get_context("spawn").SimpleQueue()
    workers = mp.spawn(_worker, args=(port, results), nprocs=2, join=False)
    try:
        deadline = time.monotonic() + 120
        while not workers.join(timeout=5):
            assert time.monotonic() < deadline, "the processes hang"
    finally:
        for process in workers.processes:
            process.kill()
    assert {results.get(), results.get()} == {0, 1}
