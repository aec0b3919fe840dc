"""The loader of training batches made of several images each."""

from collections.abc import Callable, Iterable
from typing import Any

from torch.utils.data import IterableDataset, Sampler

from detectron2.config import CfgNode
from detectron2.data.build import build_detection_train_loader
from detectron2.data.common import DatasetFromList
from detectron2.data.samplers import TrainingSampler
from detectron2.data.weighted_sampling import build_train_sampler, load_train_dicts
from detectron2.utils import comm

from .iteration_sampler import IterationDataset, IterationSampler
from .multi_image_mapper import MultiImageMapper
from .multi_scale import MultiScale
from .records import Records

__all__ = ["build_multi_image_loader", "build_yolo_train_loader"]


def build_multi_image_loader(
    dataset: Records,
    mapper: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    total_batch_size: int,
    sampler: Sampler | None = None,
    accumulation_steps: int = 1,
    num_workers: int = 0,
    multi_scale: MultiScale | None = None,
    **kwargs: Any,
) -> Iterable[list[dict[str, Any]]]:
    """An endless loader whose samples know their iteration.

    Args:
        dataset: dictionaries by index; the mapper should draw from the same one.
        mapper: such as a :class:`MultiImageMapper`.
        total_batch_size: samples in a batch of all processes together.
        sampler: by default a :class:`TrainingSampler`.
        accumulation_steps: batches of an iteration.
        num_workers: processes that load; 0 loads in this one.
        multi_scale: resizes batches.
        **kwargs: more arguments of ``build_batch_data_loader``, such as ``seed``.

    Returns:
        A loader of lists of samples, resumable as those of :mod:`detectron2.data.resumable`.
    """
    sampler = TrainingSampler(len(dataset)) if sampler is None else sampler
    per_iteration = max(1, total_batch_size // comm.get_world_size()) * accumulation_steps
    return build_detection_train_loader(
        IterationDataset(dataset),
        mapper=mapper,
        sampler=IterationSampler(sampler, per_iteration),
        total_batch_size=total_batch_size,
        aspect_ratio_grouping=False,
        num_workers=num_workers,
        collate_fn=multi_scale,
        **kwargs,
    )


def build_yolo_train_loader(cfg: CfgNode) -> Iterable[list[dict[str, Any]]]:
    """The training loader of a config with ``INPUT.YOLO``, see :data:`.defaults.INPUT_YOLO`.

    Raises:
        ValueError: the data set is a stream, from which no further images can be drawn.
    """
    dicts = load_train_dicts(cfg, cfg.DATASETS.TRAIN)
    if isinstance(dicts, IterableDataset):
        raise ValueError(f"DATASETS.TRAIN {cfg.DATASETS.TRAIN} is a stream, but mosaics need samples by index")
    packed = DatasetFromList(dicts, copy=False)
    node = cfg.INPUT.YOLO
    return build_multi_image_loader(
        packed,
        MultiImageMapper.from_config(cfg, packed),
        sampler=build_train_sampler(cfg, dicts),
        total_batch_size=cfg.SOLVER.IMS_PER_BATCH,
        accumulation_steps=cfg.SOLVER.ACCUMULATION_STEPS,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        multi_scale=MultiScale.from_node(node) if node.MULTI_SCALE.ENABLED else None,
    )
