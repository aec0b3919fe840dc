"""Batches of a data set, to calibrate on and to measure the loss with."""

import copy
import json
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any, cast

from detectron2.config import CfgNode
from detectron2.config.keys import near_matches
from detectron2.data import (
    DatasetCatalog,
    DatasetMapper,
    build_detection_test_loader,
    get_detection_dataset_dicts,
)
from detectron2.data import transforms as T
from detectron2.data.datasets import register_coco_instances
from detectron2.engine.preflight import register_configured_datasets

Record = dict[str, Any]


class DetectionBatches:
    """Batches of a data set as the test loader gives them; can be gone over again and again.

    Args:
        cfg: the whole config.
        name: of the data set, for messages.
        records: its dictionaries.
        annotated: with "instances", as the losses need them, at the size of the test.
        batch_size: images of a batch.
    """

    def __init__(
        self, cfg: CfgNode, name: str, records: Sequence[Record], *, annotated: bool = False, batch_size: int = 1
    ) -> None:
        self.cfg, self.name, self.records = cfg, name, list(records)
        self.annotated, self.batch_size = annotated, batch_size

    def __len__(self) -> int:
        return -(-len(self.records) // self.batch_size)

    def __iter__(self) -> Iterator[list[Record]]:
        loader = build_detection_test_loader(
            self.records,
            mapper=_mapper(self.cfg, self.annotated),
            batch_size=self.batch_size,
            num_workers=self.cfg.DATALOADER.NUM_WORKERS,
        )
        try:
            yield from loader
        except (OSError, ValueError) as error:
            kind = OSError if isinstance(error, OSError) else ValueError
            raise kind(f"data set {self.name!r} cannot be read: {error}") from error

    def in_batches_of(self, images: int) -> "DetectionBatches":
        """The same images, so many in a batch."""
        other = copy.copy(self)
        other.batch_size = images
        return other

    def subset(self, records: Sequence[Record]) -> "DetectionBatches":
        """The same kind of batches of other records."""
        other = copy.copy(self)
        other.records = list(records)
        return other


def _mapper(cfg: CfgNode, annotated: bool) -> DatasetMapper:
    if not annotated:
        return DatasetMapper(cfg, is_train=False)
    size = cfg.INPUT.MIN_SIZE_TEST
    return DatasetMapper(
        cfg, is_train=True, augmentations=[T.ResizeShortestEdge([size, size], cfg.INPUT.MAX_SIZE_TEST)]
    )


def find_dataset(cfg: CfgNode, given: Sequence[str], option: str) -> str:
    """The name of a data set, which is registered if it is given by files.

    Args:
        cfg: its DATASETS.COCO_INSTANCES are registered first.
        given: a registered name; or a COCO json file and the folder of its images.
        option: of the command line, for messages.

    Raises:
        KeyError: the name is not registered.
        FileNotFoundError: a file or folder is missing.
        ValueError: neither one nor two texts, or the json file is no COCO json file.
    """
    register_configured_datasets(cfg)
    if len(given) == 1:
        name = given[0]
        if name in DatasetCatalog.list():
            return name
        if name.endswith(".json"):
            raise ValueError(f"{option} {name}: give the folder of its images behind it")
        similar = near_matches(name, DatasetCatalog.list())
        guess = f" Did you mean {', '.join(similar)}?" if similar else ""
        raise KeyError(f"{option}: data set {name!r} is not registered.{guess} Or give a COCO json file and a folder")
    if len(given) != 2:
        raise ValueError(f"{option} takes the name of a data set, or a COCO json file and a folder; got {list(given)}")
    json_file, images = given
    if not os.path.isfile(json_file):
        raise FileNotFoundError(f"{option}: {json_file} does not exist")
    if not os.path.isdir(images):
        raise FileNotFoundError(f"{option}: {images} is no folder")
    name = f"{os.path.abspath(json_file)}:{os.path.abspath(images)}"
    if name not in DatasetCatalog.list():
        register_coco_instances(name, {}, json_file, images)
    return name


def read_records(name: str) -> list[Record]:
    """The dictionaries of a data set.

    Raises:
        ValueError: the data set cannot be read, or has no images.
    """
    try:
        records = get_detection_dataset_dicts([name], filter_empty=False, check_consistency=False)
    except (KeyError, json.JSONDecodeError, AssertionError, TypeError) as error:
        raise ValueError(f"data set {name!r} cannot be read: {error!r}") from error
    except ValueError as error:
        raise ValueError(f"data set {name!r} cannot be used: {error}") from error
    if not records:
        raise ValueError(f"data set {name!r} has no images")
    return list(cast(Sequence[Record], records))


def calibration_records(name: str, images: int = 0, seed: int | None = None) -> list[Record]:
    """Records to calibrate on.

    Args:
        name: of the data set.
        images: how many; 0 for all.
        seed: draws them at random; None spreads them evenly over the set.

    Raises:
        ValueError: there are no images, fewer than asked for, or none has an object.
    """
    records = read_records(name)
    if images > len(records):
        raise ValueError(f"{images} images to calibrate on, but data set {name!r} has {len(records)}")
    if not any(record.get("annotations") for record in records):
        raise ValueError(
            f"calibration set {name!r}: none of its {len(records)} images has an object. Ranges seen on background "
            "alone would clip what objects cause: calibrate on images like those that the model is for"
        )
    return choose(records, images, seed)


def choose(records: Sequence[Record], images: int, seed: int | None = None) -> list[Record]:
    """``images`` of the records (0: all), drawn with a seed or evenly spread."""
    count = images or len(records)
    if seed is not None:
        return random.Random(seed).sample(list(records), count)
    return [records[index * len(records) // count] for index in range(count)]


def with_objects(records: Sequence[Record]) -> list[Record]:
    """Copies of the records that have annotations which are no crowds: those a loss can be computed on."""
    return [
        copy.deepcopy(record)
        for record in records
        if any(not annotation.get("iscrowd", 0) for annotation in record.get("annotations", ()))
    ]
