"""Starts a function in as many processes as a training needs, or joins those that torchrun has started."""

import gc
import logging
import os
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from detectron2.utils import comm

__all__ = ["DEFAULT_TIMEOUT", "launch"]

DEFAULT_TIMEOUT = timedelta(minutes=30)

_TORCHRUN_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

logger = logging.getLogger(__name__)


def launch(
    main_func: Callable[..., Any],
    num_gpus_per_machine: int,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str | None = None,
    args: tuple[Any, ...] = (),
    timeout: timedelta = DEFAULT_TIMEOUT,
) -> None:
    """Runs ``main_func(*args)`` in one process for each GPU, with ``torch.distributed`` ready.

    Call it once on each machine. Without a GPU the number is that of processes on the CPU, which exchange over
    gloo. Under torchrun the processes exist already and the counts given here are not used.

    Args:
        main_func: must be picklable, as the processes are spawned.
        num_gpus_per_machine: processes on this machine.
        num_machines: machines.
        machine_rank: the number of this one.
        dist_url: ``tcp://host:port`` of a free port of machine 0; ``"auto"`` or None picks one, on one machine.
        args: arguments of the function.
        timeout: how long processes wait for each other.

    Raises:
        ValueError: a count or rank out of range, more GPUs than there are, or several machines without an address.
    """
    if all(name in os.environ for name in _TORCHRUN_VARIABLES):
        _join_torchrun(main_func, args, timeout)
        return
    if num_gpus_per_machine < 1 or num_machines < 1 or not 0 <= machine_rank < num_machines:
        raise ValueError(
            f"no processes to start: num_gpus_per_machine={num_gpus_per_machine}, num_machines={num_machines}, "
            f"machine_rank={machine_rank}"
        )
    world_size = num_machines * num_gpus_per_machine
    if world_size == 1:
        main_func(*args)
        return
    _check_gpus(num_gpus_per_machine)
    if dist_url in (None, "auto"):
        if num_machines > 1:
            raise ValueError("several machines need dist_url: tcp://<address of machine 0>:<free port>")
        dist_url = f"tcp://127.0.0.1:{_find_free_port()}"
    if num_machines > 1 and dist_url.startswith("file://"):
        logger.warning("%s works between machines only on a file system with locks; tcp:// is safer", dist_url)
    mp.start_processes(
        _distributed_worker,
        args=(main_func, world_size, num_gpus_per_machine, machine_rank, dist_url, args, timeout),
        nprocs=num_gpus_per_machine,
        # Not daemons: these may not have children, such as the workers of a data loader.
        daemon=False,
        start_method="spawn",
    )


def _distributed_worker(
    local_rank: int,
    main_func: Callable[..., Any],
    world_size: int,
    num_gpus_per_machine: int,
    machine_rank: int,
    dist_url: str,
    args: tuple[Any, ...],
    timeout: timedelta = DEFAULT_TIMEOUT,
) -> None:
    """Body of one process that :func:`launch` has started."""
    rank = machine_rank * num_gpus_per_machine + local_rank
    if not torch.cuda.is_available() and "OMP_NUM_THREADS" not in os.environ:
        # Each process would otherwise start a thread for every core.
        torch.set_num_threads(max(1, torch.get_num_threads() // num_gpus_per_machine))
    try:
        _init_group(init_method=dist_url, world_size=world_size, rank=rank, timeout=timeout)
    except Exception:
        logger.error("Process %d of %d found no connection at %s", rank, world_size, dist_url)
        raise
    _run_in_group(main_func, args, local_rank, num_gpus_per_machine)


def _join_torchrun(main_func: Callable[..., Any], args: tuple[Any, ...], timeout: timedelta) -> None:
    local_rank, local_size = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    _check_gpus(local_size)
    _init_group(init_method="env://", timeout=timeout)
    _run_in_group(main_func, args, local_rank, local_size)


def _init_group(**settings: Any) -> None:
    # DistributedDataParallel imports it. Its functions have the group of that time as a default, and so would hold a
    # group that is there already until the interpreter ends.
    import torch.distributed.nn.functional  # noqa: F401

    dist.init_process_group(backend=_backend(), **settings)


def _run_in_group(main_func: Callable[..., Any], args: tuple[Any, ...], local_rank: int, local_size: int) -> None:
    try:
        if torch.cuda.is_available():
            torch.cuda.set_device(local_rank)
        comm.create_local_process_group(local_size)
        # A process that ran ahead could start its first exchange before the groups exist everywhere.
        comm.synchronize()
        main_func(*args)
        comm.synchronize()  # with gloo, a process that leaves while another still communicates may abort
    finally:
        # A group's threads end with it. If something holds it until the interpreter ends, a thread of gloo that still
        # has a tensor to let go of aborts the process.
        comm.forget_process_groups()
        gc.collect()
        dist.destroy_process_group()


def _backend() -> str:
    return "nccl" if torch.cuda.is_available() else "gloo"


def _check_gpus(wanted: int) -> None:
    if torch.cuda.is_available() and wanted > torch.cuda.device_count():
        raise ValueError(f"{wanted} processes need a GPU each, this machine shows {torch.cuda.device_count()}")


def _find_free_port() -> int:
    """A port that is free now; another program may take it before it is used."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("", 0))
        return sock.getsockname()[1]
