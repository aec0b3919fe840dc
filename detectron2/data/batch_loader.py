"""Batches for training out of a data set and a sampler."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import torch.utils.data as torchdata

from detectron2.utils.comm import get_world_size
from detectron2.utils.env import seed_all_rng

from .common import AspectRatioGroupedDataset, MapDataset, ToIterableDataset
from .resumable import GroupedLoader, ResumableDataLoader

Collate = Callable[[list[Any]], Any]


def trivial_batch_collator(batch: list[Any]) -> list[Any]:
    """The list of samples as it is."""
    return batch


def worker_init_reset_seed(worker_id: int) -> None:
    """Seeds a worker process by what PyTorch gave it, so that the workers differ."""
    seed_all_rng(torch.initial_seed() % 2**31 + worker_id)


def _batch_size_of_process(total_batch_size: int | None, single_gpu_batch_size: int | None) -> int:
    if single_gpu_batch_size:
        if total_batch_size:
            raise ValueError("give total_batch_size or single_gpu_batch_size, not both")
        return single_gpu_batch_size
    world_size = get_world_size()
    if not total_batch_size or total_batch_size < 0 or total_batch_size % world_size:
        raise ValueError(
            f"total_batch_size (SOLVER.IMS_PER_BATCH) is {total_batch_size}, but must be a positive multiple of the "
            f"number of processes, {world_size}"
        )
    return total_batch_size // world_size


def build_batch_data_loader(
    dataset: torchdata.Dataset,
    sampler: torchdata.Sampler | None,
    total_batch_size: int | None,
    *,
    aspect_ratio_grouping: bool = False,
    num_workers: int = 0,
    collate_fn: Collate | None = None,
    drop_last: bool = True,
    single_gpu_batch_size: int | None = None,
    prefetch_factor: int | None = 2,
    persistent_workers: bool = False,
    pin_memory: bool = False,
    seed: int | None = None,
    **kwargs: Any,
) -> Iterable[Any]:
    """A loader of batches for training.

    Over a map-style data set its batches depend on the seeds alone, not on the number of workers, and it has
    ``state_dict()`` and ``load_state_dict(state)`` to go on where another one was, see :mod:`.resumable`.

    Args:
        dataset: map-style or iterable, with samples mapped already.
        sampler: gives indices into a map-style data set; None for an iterable one.
        total_batch_size: samples in a batch of all processes together.
        aspect_ratio_grouping: batches of images wider than high, or of the others; see
            :class:`AspectRatioGroupedDataset`.
        num_workers: processes that load; 0 loads in this one.
        collate_fn: makes a batch of a list of samples; by default it stays a list.
        drop_last: drop a last batch that is not full. Batches by aspect ratio are always full.
        single_gpu_batch_size: samples in a batch of this process, instead of ``total_batch_size``.
        prefetch_factor: batches that each worker loads ahead.
        persistent_workers: keep workers from one iteration over the loader to the next.
        pin_memory: copy batches to memory from which a GPU reads faster.
        seed: of each sample's random numbers; by default one drawn from NumPy.
        **kwargs: more arguments of ``DataLoader``.

    Returns:
        A ``DataLoader``, or an iterable over one for batches by aspect ratio.

    Raises:
        ValueError: a batch size that is not positive or does not divide among the processes; an iterable data set
            with a sampler, or a map-style one without.
    """
    batch_size = _batch_size_of_process(total_batch_size, single_gpu_batch_size)
    options = dict(kwargs, num_workers=num_workers, pin_memory=pin_memory, worker_init_fn=worker_init_reset_seed)
    if num_workers > 0:
        options.update(prefetch_factor=prefetch_factor, persistent_workers=persistent_workers)
    iterable = isinstance(dataset, torchdata.IterableDataset)
    if iterable != (sampler is None):
        raise ValueError("a map-style data set needs a sampler, and an iterable one takes none")
    if iterable:
        return _iterable_loader(dataset, batch_size, aspect_ratio_grouping, collate_fn, drop_last, options)
    seed = int(np.random.randint(2**31)) if seed is None else seed
    chunk = 1 if aspect_ratio_grouping else batch_size
    stream = ToIterableDataset(dataset, sampler, shard_chunk_size=chunk, seed=seed)
    if aspect_ratio_grouping:
        samples = ResumableDataLoader(stream, batch_size=None, collate_fn=trivial_batch_collator, **options)
        return GroupedLoader(samples, batch_size, collate_fn)
    collate_fn = collate_fn or trivial_batch_collator
    return ResumableDataLoader(stream, batch_size=batch_size, drop_last=drop_last, collate_fn=collate_fn, **options)


def _iterable_loader(
    dataset: torchdata.IterableDataset,
    batch_size: int,
    aspect_ratio_grouping: bool,
    collate_fn: Collate | None,
    drop_last: bool,
    options: dict[str, Any],
) -> Iterable[Any]:
    """A loader over somebody else's stream, whose position is not known."""
    if aspect_ratio_grouping:
        samples = torchdata.DataLoader(dataset, batch_size=None, collate_fn=trivial_batch_collator, **options)
        batches = AspectRatioGroupedDataset(samples, batch_size)
        return batches if collate_fn is None else MapDataset(batches, collate_fn)
    collate_fn = collate_fn or trivial_batch_collator
    return torchdata.DataLoader(dataset, batch_size=batch_size, drop_last=drop_last, collate_fn=collate_fn, **options)
