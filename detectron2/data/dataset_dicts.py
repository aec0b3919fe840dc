"""Registered data sets as lists of dictionaries, ready for a loader."""

import itertools
import logging
from collections.abc import Sequence
from typing import Any

import torch.utils.data as torchdata

from .catalog import DatasetCatalog, MetadataCatalog
from .detection_utils import check_metadata_consistency
from .filters import (
    filter_images_with_few_keypoints,
    filter_images_with_only_crowd_annotations,
    print_instances_class_histogram,
)
from .proposals import load_proposals_into_dataset

logger = logging.getLogger(__name__)


def _load_one(name: str, proposal_file: str | None) -> Any:
    dataset = DatasetCatalog.get(name)
    if isinstance(dataset, torchdata.IterableDataset):
        return dataset
    if len(dataset) == 0:
        source = MetadataCatalog.get(name).get("json_file")
        cause = f"{source} lists no images" if source else "its function in DatasetCatalog gave no sample"
        raise ValueError(f"data set {name!r} is empty: {cause}")
    return load_proposals_into_dataset(dataset, proposal_file) if proposal_file is not None else dataset


def get_detection_dataset_dicts(
    names: str | Sequence[str],
    filter_empty: bool = True,
    min_keypoints: int = 0,
    proposal_files: Sequence[str] | None = None,
    check_consistency: bool = True,
) -> list[dict] | torchdata.Dataset:
    """Loads data sets, joins them and leaves out images that are of no use for training.

    Args:
        names: of registered data sets.
        filter_empty: leave out images without annotations that are no crowds.
        min_keypoints: leave out images with fewer visible keypoints; 0 keeps all.
        proposal_files: for each data set, a file for :func:`load_proposals_into_dataset`.
        check_consistency: compare the data sets' class names, and log how often each class comes.

    Returns:
        The dictionaries of all data sets in the order of ``names``. Where these are registered as torch data sets,
        one such.

    Raises:
        KeyError: a name is not registered; the message lists near matches.
        ValueError: no names, an empty data set, or no image left.
    """
    names = [names] if isinstance(names, str) else list(names)
    if not names:
        raise ValueError("no data set to load: DATASETS.TRAIN or DATASETS.TEST is empty")
    if proposal_files is not None and len(proposal_files) != len(names):
        raise ValueError(f"{len(proposal_files)} proposal files for {len(names)} data sets: {', '.join(names)}")
    parts = [_load_one(n, f) for n, f in zip(names, proposal_files or [None] * len(names), strict=True)]
    if any(isinstance(part, torchdata.Dataset) for part in parts):
        return _join_torch_datasets(names, parts)
    dataset_dicts = list(itertools.chain.from_iterable(parts))
    if not any("annotations" in record for record in dataset_dicts):
        return dataset_dicts
    dataset_dicts = _filter(names, dataset_dicts, filter_empty, min_keypoints)
    if check_consistency:
        check_metadata_consistency("thing_classes", names)
        if (class_names := MetadataCatalog.get(names[0]).get("thing_classes")) is not None:
            print_instances_class_histogram(dataset_dicts, class_names)
    return dataset_dicts


def _filter(names: list[str], dataset_dicts: list[dict], filter_empty: bool, min_keypoints: int) -> list[dict]:
    count, joined = len(dataset_dicts), ", ".join(names)
    if filter_empty:
        dataset_dicts = filter_images_with_only_crowd_annotations(dataset_dicts)
        if not dataset_dicts:
            raise ValueError(
                f"data set {joined}: none of its {count} images has an annotation (crowds aside), so none is left to "
                "train on. Check the annotation file, or keep them with DATALOADER.FILTER_EMPTY_ANNOTATIONS False"
            )
    if min_keypoints > 0:
        dataset_dicts = filter_images_with_few_keypoints(dataset_dicts, min_keypoints)
        if not dataset_dicts:
            raise ValueError(
                f"data set {joined}: no image has {min_keypoints} visible keypoints; "
                "lower MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE"
            )
    return dataset_dicts


def _join_torch_datasets(names: list[str], parts: list[Any]) -> torchdata.Dataset:
    if len(parts) == 1:
        return parts[0]
    kinds = {isinstance(part, torchdata.IterableDataset) for part in parts}
    if not all(isinstance(part, torchdata.Dataset) for part in parts) or len(kinds) > 1:
        raise ValueError(f"data sets {', '.join(names)} cannot be joined: lists, map-style and iterable ones are mixed")
    return torchdata.ChainDataset(parts) if kinds == {True} else torchdata.ConcatDataset(parts)
