"""Anchors for the training data, before the model is built."""

import logging

import numpy as np
import torch

from detectron2.config import CfgNode
from detectron2.data.weighted_sampling import load_train_dicts
from detectron2.engine.preflight import register_configured_datasets
from detectron2.modeling import META_ARCH_REGISTRY

from ..anchor_generator import YOLOAnchorGenerator
from ..heads.base import Anchors, DetectionHead
from .auto_anchor import anchor_fitness, auto_anchors, best_possible_recall, box_sizes

__all__ = ["with_auto_anchors"]

logger = logging.getLogger(__name__)


def with_auto_anchors(cfg: CfgNode) -> CfgNode:
    """A copy of a config with ``MODEL.YOLO.ANCHORS`` for its training data, see :func:`auto_anchors`.

    Every process finds the same anchors. They are saved with the config, and in checkpoints with the weights.

    Args:
        cfg: the whole config; without ``MODEL.YOLO.TRAINING.AUTO_ANCHOR.ENABLED``, for a head without anchors, or
            with anchors that fit well, it is returned as it is.

    Returns:
        The copy, frozen if the config was.

    Raises:
        ValueError: the training data have no objects, or fewer different ones than anchors are needed; or the anchors
            of the head are not those of ``MODEL.YOLO.ANCHORS``.
    """
    node = cfg.MODEL.YOLO.TRAINING.AUTO_ANCHOR
    given = _anchors(cfg) if node.ENABLED else None
    if given is None:
        return cfg
    generator = cfg.MODEL.ANCHOR_GENERATOR.NAME
    if cfg.MODEL.META_ARCHITECTURE != "YOLO" and generator != YOLOAnchorGenerator.__name__:
        raise ValueError(
            f"MODEL.YOLO.TRAINING.AUTO_ANCHOR needs MODEL.ANCHOR_GENERATOR.NAME YOLOAnchorGenerator, not {generator}"
        )
    register_configured_datasets(cfg)
    sizes = box_sizes(load_train_dicts(cfg, cfg.DATASETS.TRAIN), tuple(cfg.INPUT.YOLO.SIZE))
    if not len(sizes):
        raise ValueError(f"MODEL.YOLO.TRAINING.AUTO_ANCHOR: {cfg.DATASETS.TRAIN} has no objects to find anchors for")
    ratio = cfg.MODEL.YOLO.LOSS.ANCHOR_BASED.ANCHOR_RATIO
    before = np.array(given, dtype=np.float64)
    after = auto_anchors(sizes, before, ratio, node.LEAST_RECALL, node.GENERATIONS, seed=max(cfg.SEED, 0))
    _log("Given", before, sizes, ratio)
    if after is before:
        logger.info("They stay: enough objects fit (LEAST_RECALL %g), or no better ones were found", node.LEAST_RECALL)
        return cfg
    _log("Chosen", after, sizes, ratio)
    frozen = cfg.is_frozen()
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.YOLO.ANCHORS = after.round(2).tolist()
    if frozen:
        cfg.freeze()
    return cfg


def _anchors(cfg: CfgNode) -> Anchors | None:
    """The anchors of the model that a config describes, if its head has any."""
    with torch.device("meta"):
        model = META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)
    return next((module.anchors for module in model.modules() if isinstance(module, DetectionHead)), None)


def _log(what: str, anchors: np.ndarray, sizes: np.ndarray, ratio: float) -> None:
    flat = anchors.reshape(-1, 2)
    fit = 100 * best_possible_recall(sizes, flat, ratio)
    fitness = anchor_fitness(sizes, flat, ratio)
    text = ", ".join(f"{width:.1f} x {height:.1f}" for width, height in flat)
    logger.info("%s anchors fit %.1f%% of %d objects, fitness %.3f: %s", what, fit, len(sizes), fitness, text)
