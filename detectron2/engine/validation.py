"""Validation data with annotations, for a loss instead of detections."""

from collections.abc import Iterable
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetMapper, build_detection_test_loader, get_detection_dataset_dicts
from detectron2.data import transforms as T
from detectron2.utils import comm


def build_validation_loader(cfg: CfgNode) -> Iterable[Any]:
    """A loader that goes once over all of ``DATASETS.TEST``, with annotations, in batches as large as in training.

    Images get the size of the test, without augmentation.

    Args:
        cfg: the whole config.
    """
    dataset = get_detection_dataset_dicts(
        cfg.DATASETS.TEST,
        filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
        proposal_files=cfg.DATASETS.PROPOSAL_FILES_TEST if cfg.MODEL.LOAD_PROPOSALS else None,
    )
    size = cfg.INPUT.MIN_SIZE_TEST
    augmentations = [T.ResizeShortestEdge([size, size], cfg.INPUT.MAX_SIZE_TEST)]
    return build_detection_test_loader(
        dataset,
        mapper=DatasetMapper(cfg, is_train=True, augmentations=augmentations),
        batch_size=max(1, cfg.SOLVER.IMS_PER_BATCH // comm.get_world_size()),
        num_workers=cfg.DATALOADER.NUM_WORKERS,
    )
