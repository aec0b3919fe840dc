"""Ranks, barriers and exchange of Python objects between the processes of one job.

Every function also works in a plain process where ``torch.distributed`` was never initialised:
there is then one process, rank 0, and an exchange returns what was put in.
"""

import functools
import os
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

# Set by ``create_local_process_group``, or from outside by launchers that build the group themselves.
_LOCAL_PROCESS_GROUP: dist.ProcessGroup | None = None
_MISSING_LOCAL_GROUP = (
    "the processes of this machine have no local group yet: start through detectron2.engine.launch or torchrun, "
    "or call detectron2.utils.comm.create_local_process_group(num_workers_per_machine) on every rank"
)


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def get_world_size() -> int:
    """Number of processes in the job; 1 without ``torch.distributed``."""
    return dist.get_world_size() if _is_distributed() else 1


def get_rank() -> int:
    """Rank of this process in the job; 0 without ``torch.distributed``."""
    return dist.get_rank() if _is_distributed() else 0


@functools.lru_cache
def create_local_process_group(num_workers_per_machine: int) -> None:
    """Build one group for each machine, so that local rank and size can be asked. Every rank must call it.

    Args:
        num_workers_per_machine: processes on each machine; ranks are numbered machine by machine.

    Raises:
        RuntimeError: a local group exists already.
        ValueError: the world size is no multiple of ``num_workers_per_machine``.
    """
    global _LOCAL_PROCESS_GROUP
    world_size = get_world_size()
    if _LOCAL_PROCESS_GROUP is not None:
        raise RuntimeError("create_local_process_group: the local process group exists already")
    if num_workers_per_machine < 1 or world_size % num_workers_per_machine:
        raise ValueError(
            f"num_workers_per_machine={num_workers_per_machine} does not divide the world size {world_size}"
        )
    own_machine = get_rank() // num_workers_per_machine
    for machine in range(world_size // num_workers_per_machine):
        first = machine * num_workers_per_machine
        # new_group is collective: all ranks create the groups of all machines, in the same order
        group = dist.new_group(list(range(first, first + num_workers_per_machine)))
        if machine == own_machine:
            _LOCAL_PROCESS_GROUP = group


def forget_process_groups() -> None:
    """Let go of all groups that are kept here; for the end of a job, before ``destroy_process_group``."""
    global _LOCAL_PROCESS_GROUP
    _LOCAL_PROCESS_GROUP = None
    create_local_process_group.cache_clear()
    _cpu_group_of.cache_clear()


def get_local_process_group() -> dist.ProcessGroup:
    """The group of the processes on this machine.

    Raises:
        RuntimeError: no such group was created.
    """
    if _LOCAL_PROCESS_GROUP is None:
        raise RuntimeError(_MISSING_LOCAL_GROUP)
    return _LOCAL_PROCESS_GROUP


def _local(variable: str, of_group: Any, alone: int) -> int:
    """A local figure: from the local group, else from torchrun's environment, else that of a single process."""
    if not _is_distributed():
        return alone
    if _LOCAL_PROCESS_GROUP is not None:
        return of_group(group=_LOCAL_PROCESS_GROUP)
    if variable in os.environ:
        return int(os.environ[variable])
    raise RuntimeError(_MISSING_LOCAL_GROUP)


def get_local_rank() -> int:
    """Rank of this process among those of its machine; 0 without ``torch.distributed``."""
    return _local("LOCAL_RANK", dist.get_rank, 0)


def get_local_size() -> int:
    """Number of processes on this machine; 1 without ``torch.distributed``."""
    return _local("LOCAL_WORLD_SIZE", dist.get_world_size, 1)


def is_main_process() -> bool:
    """Whether this process has rank 0."""
    return get_rank() == 0


def synchronize() -> None:
    """Wait until every process of the job has arrived here."""
    if get_world_size() == 1:
        return
    if dist.get_backend() == dist.Backend.NCCL:
        # without the device NCCL guesses it from the rank, which is wrong with several machines
        dist.barrier(device_ids=[torch.cuda.current_device()])
    else:
        dist.barrier()


@functools.lru_cache(maxsize=1)
def _cpu_group_of(world: dist.ProcessGroup) -> dist.ProcessGroup:
    """A gloo group of all ranks, made once for each default group."""
    return dist.new_group(backend="gloo") if dist.get_backend(world) == dist.Backend.NCCL else world


def _object_group(group: dist.ProcessGroup | None) -> dist.ProcessGroup:
    """The group that carries pickled objects: over gloo, so that results never pass through GPU memory."""
    return _cpu_group_of(dist.group.WORLD) if group is None else group


def all_gather(data: Any, group: dist.ProcessGroup | None = None) -> list[Any]:
    """Every rank's object, on every rank.

    Args:
        data: any picklable object; sizes may differ between ranks.
        group: the processes to ask; all of them over gloo by default.

    Returns:
        One object for each rank, in order of rank.
    """
    if get_world_size() == 1:
        return [data]
    group = _object_group(group)
    size = dist.get_world_size(group)
    if size == 1:
        return [data]
    received: list[Any] = [None] * size
    dist.all_gather_object(received, data, group=group)
    return received


def gather(data: Any, dst: int = 0, group: dist.ProcessGroup | None = None) -> list[Any]:
    """Every rank's object, on rank ``dst`` only.

    Args:
        data: any picklable object; sizes may differ between ranks.
        dst: global rank that receives.
        group: the processes to ask; all of them over gloo by default.

    Returns:
        One object for each rank on ``dst``, an empty list elsewhere.
    """
    if get_world_size() == 1:
        return [data]
    group = _object_group(group)
    size = dist.get_world_size(group)
    if size == 1:
        return [data]
    received: list[Any] | None = [None] * size if get_rank() == dst else None
    dist.gather_object(data, received, dst=dst, group=group)
    return received or []


def shared_random_seed() -> int:
    """A random number in [0, 2^31) that is the same on all ranks: the one rank 0 drew from numpy's generator."""
    return all_gather(int(np.random.randint(2**31)))[0]


@torch.no_grad()
def reduce_dict(input_dict: dict[str, torch.Tensor], average: bool = True) -> dict[str, torch.Tensor]:
    """Sum or average scalar tensors over all ranks; only rank 0 receives the reduced values.

    Args:
        input_dict: name to scalar tensor, with the same names on every rank.
        average: divide the sum by the number of ranks.

    Returns:
        The reduced values on rank 0; on other ranks values without meaning. One process gets ``input_dict`` back.
    """
    world_size = get_world_size()
    if world_size == 1 or not input_dict:
        return input_dict
    names = sorted(input_dict)
    values = torch.stack([input_dict[name] for name in names])
    dist.reduce(values, dst=0)
    if average and get_rank() == 0:
        values /= world_size
    return dict(zip(names, values, strict=True))
