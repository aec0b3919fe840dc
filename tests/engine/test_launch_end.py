"""What a launched process has left when its interpreter ends: no thread of a group, which could abort it."""

import atexit
from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from detectron2.engine.launch import launch
from detectron2.engine.setup import create_ddp_model
from detectron2.utils import comm

TASKS = Path("/proc/self/task")


def _threads():
    return Counter((task / "comm").read_text().strip() for task in TASKS.iterdir())


def _gloo(threads):
    return sum(count for name, count in threads.items() if "gloo" in name)


def _note(path):
    path.write_text(str(_gloo(_threads())))


def _work(folder):
    """Uses the groups in every way that keeps a reference to them."""
    rank = comm.get_rank()
    assert comm.all_gather(rank) == [0, 1]
    dist.all_reduce(torch.ones(100), group=comm.get_local_process_group())
    model = create_ddp_model(torch.nn.Linear(3, 3))
    model(torch.ones(2, 3)).sum().backward()
    (folder / f"meanwhile_{rank}").write_text(str(_gloo(_threads())))
    atexit.register(_note, folder / f"end_{rank}")


@pytest.mark.skipif(not TASKS.exists(), reason="threads are counted in /proc")
@pytest.mark.skipif(torch.cuda.is_available(), reason="without a GPU processes exchange over gloo")
def test_no_thread_of_gloo_outlives_the_groups(tmp_path):
    launch(_work, 2, args=(tmp_path,))
    for rank in range(2):
        assert int((tmp_path / f"meanwhile_{rank}").read_text()) > 0
        assert (tmp_path / f"end_{rank}").read_text() == "0"
