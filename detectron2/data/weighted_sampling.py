"""Samplers by name of the config; those that weight data sets and classes."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler

from detectron2.config import CfgNode

from .dataset_dicts import get_detection_dataset_dicts
from .samplers import RandomSubsetTrainingSampler, RepeatFactorTrainingSampler, TrainingSampler

logger = logging.getLogger(__name__)


def load_train_dicts(cfg: CfgNode, names: Sequence[str], check_consistency: bool = True) -> Any:
    """The training images of some data sets, filtered as the config says."""
    files = cfg.DATASETS.PROPOSAL_FILES_TRAIN if cfg.MODEL.LOAD_PROPOSALS else None
    if files is not None:
        if len(files) != len(cfg.DATASETS.TRAIN):
            raise ValueError(
                f"MODEL.LOAD_PROPOSALS needs one file in DATASETS.PROPOSAL_FILES_TRAIN for each of the "
                f"{len(cfg.DATASETS.TRAIN)} data sets in DATASETS.TRAIN, got {len(files)}"
            )
        by_name = dict(zip(cfg.DATASETS.TRAIN, files, strict=True))
        files = [by_name[name] for name in names]
    return get_detection_dataset_dicts(
        names,
        filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
        min_keypoints=cfg.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE if cfg.MODEL.KEYPOINT_ON else 0,
        proposal_files=files,
        check_consistency=check_consistency,
    )


def _get_train_datasets_repeat_factors(cfg: CfgNode) -> dict[str, float]:
    """Weight of each training data set: that of ``DATASETS.TRAIN_REPEAT_FACTOR``, pairs of name and weight, or 1.

    Raises:
        ValueError: an entry is no such pair, or names no training data set.
    """
    weights = dict.fromkeys(cfg.DATASETS.TRAIN, 1.0)
    for entry in cfg.DATASETS.get("TRAIN_REPEAT_FACTOR", ()):
        if not isinstance(entry, (list, tuple)) or len(entry) != 2:
            raise ValueError(f"DATASETS.TRAIN_REPEAT_FACTOR: {entry!r} is not a pair of data set and weight")
        name, weight = entry
        if name not in weights:
            raise ValueError(f"DATASETS.TRAIN_REPEAT_FACTOR: {name!r} is not in DATASETS.TRAIN")
        weights[name] = float(weight)
    return weights


def _build_weighted_sampler(cfg: CfgNode, enable_category_balance: bool = False) -> RepeatFactorTrainingSampler:
    """A sampler that repeats the images of each data set by its weight.

    Args:
        cfg: reads ``DATASETS.TRAIN``, ``DATASETS.TRAIN_REPEAT_FACTOR`` and, for the balance of classes,
            ``DATALOADER.REPEAT_THRESHOLD`` and ``REPEAT_SQRT``.
        enable_category_balance: also repeat the images with rare classes, counted in each data set by itself.
    """
    factors = []
    for name, weight in _get_train_datasets_repeat_factors(cfg).items():
        dicts = load_train_dicts(cfg, [name], check_consistency=False)
        own = torch.full((len(dicts),), weight)
        if enable_category_balance:
            own *= _category_factors(cfg, dicts)
        factors.append(own)
        logger.info("Data set %s: %d images, %.1f a round", name, len(dicts), own.sum())
    return RepeatFactorTrainingSampler(torch.cat(factors))


def _category_factors(cfg: CfgNode, dataset: Sequence[dict]) -> torch.Tensor:
    return RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(
        dataset, cfg.DATALOADER.REPEAT_THRESHOLD, sqrt=cfg.DATALOADER.REPEAT_SQRT
    )


def _random_subset(cfg: CfgNode, dataset: Sequence[Any]) -> Sampler:
    ratio = cfg.DATALOADER.get("RANDOM_SUBSET_RATIO")
    if ratio is None:
        raise ValueError("DATALOADER.SAMPLER_TRAIN RandomSubsetTrainingSampler needs DATALOADER.RANDOM_SUBSET_RATIO")
    return RandomSubsetTrainingSampler(len(dataset), ratio)


_SAMPLERS: dict[str, Callable[[CfgNode, Sequence[Any]], Sampler]] = {
    "TrainingSampler": lambda cfg, dataset: TrainingSampler(len(dataset)),
    "RandomSubsetTrainingSampler": _random_subset,
    "RepeatFactorTrainingSampler": lambda cfg, dataset: RepeatFactorTrainingSampler(_category_factors(cfg, dataset)),
    "WeightedTrainingSampler": lambda cfg, dataset: _build_weighted_sampler(cfg),
    "WeightedCategoryTrainingSampler": lambda cfg, dataset: _build_weighted_sampler(cfg, True),
}


def build_train_sampler(cfg: CfgNode, dataset: Sequence[Any]) -> Sampler:
    """The sampler that ``DATALOADER.SAMPLER_TRAIN`` names.

    Raises:
        ValueError: there is no such sampler.
    """
    name = cfg.DATALOADER.SAMPLER_TRAIN
    if name not in _SAMPLERS:
        raise ValueError(f"DATALOADER.SAMPLER_TRAIN is {name!r}, but must be one of {', '.join(_SAMPLERS)}")
    return _SAMPLERS[name](cfg, dataset)
