"""Loaders of training and test data, from data sets or from a config."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import torch.utils.data as torchdata

from detectron2.config import CfgNode, configurable
from detectron2.structures.boxes import BoxMode  # noqa: F401
from detectron2.utils.comm import get_world_size  # noqa: F401
from detectron2.utils.env import seed_all_rng  # noqa: F401
from detectron2.utils.file_io import PathManager  # noqa: F401
from detectron2.utils.logger import log_first_n  # noqa: F401

from .batch_loader import Collate, build_batch_data_loader, trivial_batch_collator, worker_init_reset_seed  # noqa: F401
from .catalog import DatasetCatalog, MetadataCatalog  # noqa: F401
from .common import AspectRatioGroupedDataset, DatasetFromList, MapDataset, ToIterableDataset  # noqa: F401
from .dataset_dicts import get_detection_dataset_dicts
from .dataset_mapper import DatasetMapper
from .detection_utils import check_metadata_consistency  # noqa: F401
from .filters import (
    filter_images_with_few_keypoints,
    filter_images_with_only_crowd_annotations,
    print_instances_class_histogram,
)
from .proposals import load_proposals_into_dataset
from .samplers import (  # noqa: F401
    InferenceSampler,
    RandomSubsetTrainingSampler,
    RepeatFactorTrainingSampler,
    TrainingSampler,
)
from .weighted_sampling import (  # noqa: F401
    _build_weighted_sampler,
    _get_train_datasets_repeat_factors,
    build_train_sampler,
    load_train_dicts,
)

__all__ = [
    "build_batch_data_loader",
    "build_detection_test_loader",
    "build_detection_train_loader",
    "filter_images_with_few_keypoints",
    "filter_images_with_only_crowd_annotations",
    "get_detection_dataset_dicts",
    "load_proposals_into_dataset",
    "print_instances_class_histogram",
]

logger = logging.getLogger(__name__)


def _train_loader_from_config(
    cfg: CfgNode, mapper: Callable[[dict], Any] | None = None, *, dataset: Any = None, sampler: Any = None
) -> dict[str, Any]:
    """Arguments of :func:`build_detection_train_loader`."""
    if dataset is None:
        dataset = load_train_dicts(cfg, cfg.DATASETS.TRAIN)
    if sampler is None and not isinstance(dataset, torchdata.IterableDataset):
        sampler = build_train_sampler(cfg, dataset)
    return {
        "dataset": dataset,
        "sampler": sampler,
        "mapper": DatasetMapper(cfg, True) if mapper is None else mapper,
        "total_batch_size": cfg.SOLVER.IMS_PER_BATCH,
        "aspect_ratio_grouping": cfg.DATALOADER.ASPECT_RATIO_GROUPING,
        "num_workers": cfg.DATALOADER.NUM_WORKERS,
    }


@configurable(from_config=_train_loader_from_config)
def build_detection_train_loader(
    dataset: list[Any] | torchdata.Dataset,
    *,
    mapper: Callable[[dict[str, Any]], Any] | None,
    sampler: torchdata.Sampler | None = None,
    total_batch_size: int,
    aspect_ratio_grouping: bool = True,
    num_workers: int = 0,
    collate_fn: Collate | None = None,
    **kwargs: Any,
) -> Iterable[Any]:
    """An endless loader of training batches. Can be called with a config.

    Args:
        dataset: a list of dictionaries, or a map-style or iterable data set.
        mapper: from a dictionary to what the model takes, such as a :class:`DatasetMapper`; None for none.
        sampler: by default a :class:`TrainingSampler`; None for an iterable data set.
        total_batch_size: samples in a batch of all processes together.
        aspect_ratio_grouping: batches of images wider than high, or of the others. The samples need "width" and
            "height".
        num_workers: processes that load; 0 loads in this one.
        collate_fn: makes a batch of a list of samples; by default it stays a list.
        **kwargs: more arguments of :func:`build_batch_data_loader`.

    Returns:
        See :func:`build_batch_data_loader`. Each process gets its own share of the samples.
    """
    if isinstance(dataset, list):
        dataset = DatasetFromList(dataset, copy=False)
    if mapper is not None:
        dataset = MapDataset(dataset, mapper)
    if sampler is None and not isinstance(dataset, torchdata.IterableDataset):
        sampler = TrainingSampler(len(dataset))
    return build_batch_data_loader(
        dataset,
        sampler,
        total_batch_size,
        aspect_ratio_grouping=aspect_ratio_grouping,
        num_workers=num_workers,
        collate_fn=collate_fn,
        **kwargs,
    )


def _test_loader_from_config(
    cfg: CfgNode, dataset_name: str | list[str], mapper: Callable[[dict], Any] | None = None
) -> dict[str, Any]:
    """Arguments of :func:`build_detection_test_loader`."""
    names = [dataset_name] if isinstance(dataset_name, str) else list(dataset_name)
    files = None
    if cfg.MODEL.LOAD_PROPOSALS:
        if len(cfg.DATASETS.PROPOSAL_FILES_TEST) != len(cfg.DATASETS.TEST):
            raise ValueError(
                "MODEL.LOAD_PROPOSALS needs a file in DATASETS.PROPOSAL_FILES_TEST for each of DATASETS.TEST"
            )
        by_name = dict(zip(cfg.DATASETS.TEST, cfg.DATASETS.PROPOSAL_FILES_TEST, strict=True))
        files = [by_name[name] for name in names]
    dataset = get_detection_dataset_dicts(names, filter_empty=False, proposal_files=files)
    return {
        "dataset": dataset,
        "mapper": DatasetMapper(cfg, False) if mapper is None else mapper,
        "num_workers": cfg.DATALOADER.NUM_WORKERS,
        "sampler": None if isinstance(dataset, torchdata.IterableDataset) else InferenceSampler(len(dataset)),
    }


@configurable(from_config=_test_loader_from_config)
def build_detection_test_loader(
    dataset: list[Any] | torchdata.Dataset,
    *,
    mapper: Callable[[dict[str, Any]], Any],
    sampler: torchdata.Sampler | None = None,
    batch_size: int = 1,
    num_workers: int = 0,
    collate_fn: Collate | None = None,
) -> torchdata.DataLoader:
    """A loader that goes once over a data set, in order. Can be called with a config and a data set's name.

    Args:
        dataset: a list of dictionaries, or a map-style or iterable data set.
        mapper: from a dictionary to what the model takes; None for none.
        sampler: by default an :class:`InferenceSampler`, which gives each process its part; None for an iterable
            data set.
        batch_size: samples in a batch of this process. The last one may be smaller.
        num_workers: processes that load; 0 loads in this one.
        collate_fn: makes a batch of a list of samples; by default it stays a list.

    Raises:
        ValueError: a sampler for an iterable data set.
    """
    if isinstance(dataset, list):
        dataset = DatasetFromList(dataset, copy=False)
    if mapper is not None:
        dataset = MapDataset(dataset, mapper)
    if isinstance(dataset, torchdata.IterableDataset):
        if sampler is not None:
            raise ValueError("an iterable data set takes no sampler")
    elif sampler is None:
        sampler = InferenceSampler(len(dataset))
    return torchdata.DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=False,
        num_workers=num_workers,
        collate_fn=trivial_batch_collator if collate_fn is None else collate_fn,
    )
