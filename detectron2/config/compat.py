"""Versions of the config: older files are read by renaming and reshaping their keys.

Version 1 is the naming of maskrcnn-benchmark (2018), from which version 2 grew; version 0 is before that.
"""

import logging
from typing import Any, ClassVar

from .config import CfgNode as CN
from .defaults import _C
from .keys import get_key, has_key, remove_key, set_key

__all__ = ["downgrade_config", "upgrade_config"]


def upgrade_config(cfg: CN, to_version: int | None = None) -> CN:
    """A copy of a config in a newer version.

    Args:
        cfg: a whole config or only the keys of one file, with ``VERSION``.
        to_version: the version wanted; by default the newest.

    Raises:
        ValueError: ``to_version`` is older than the config, or unknown.
    """
    to_version = _C.VERSION if to_version is None else to_version
    cfg = cfg.clone()
    if not cfg.VERSION <= to_version <= _C.VERSION:
        raise ValueError(
            f"cannot upgrade a config of VERSION {cfg.VERSION} to {to_version}; the newest is {_C.VERSION}"
        )
    for version in range(cfg.VERSION + 1, to_version + 1):
        _CONVERTERS[version].upgrade(cfg)
        cfg.VERSION = version
    return cfg


def downgrade_config(cfg: CN, to_version: int) -> CN:
    """A copy of a config in an older version. Keys that did not exist then are kept.

    Args:
        cfg: a config with ``VERSION``.
        to_version: the version wanted.

    Raises:
        ValueError: ``to_version`` is newer than the config, or below 0.
    """
    cfg = cfg.clone()
    if not 0 <= to_version <= cfg.VERSION:
        raise ValueError(f"cannot downgrade a config of VERSION {cfg.VERSION} to {to_version}")
    for version in range(cfg.VERSION, to_version, -1):
        _CONVERTERS[version].downgrade(cfg)
        cfg.VERSION = version - 1
    return cfg


def guess_version(cfg: CN, filename: str) -> int:
    """The version of a file that does not say it, judged by the old names in it.

    Args:
        cfg: the keys of the file.
        filename: named in the log.
    """
    guessed = _C.VERSION
    for version, converter in sorted(_CONVERTERS.items()):
        old_names = [old for old, _ in converter.RENAME if has_key(cfg, old)]
        if old_names:
            guessed = version - 1
            logging.getLogger(__name__).warning(
                "%s gives no VERSION; it is read as version %d because of %s", filename, guessed, ", ".join(old_names)
            )
            break
    return guessed


def _rename(cfg: CN, old: str, new: str) -> None:
    """Move the value of ``old`` to ``new``; nothing happens if there is no ``old``."""
    if old == new or not has_key(cfg, old):
        return
    value = get_key(cfg, old)
    remove_key(cfg, old)
    set_key(cfg, new, value)


class _RenameConverter:
    """A step between two versions in which keys only change their names."""

    RENAME: ClassVar[list[tuple[str, str]]] = []

    @classmethod
    def upgrade(cls, cfg: CN) -> None:
        for old, new in cls.RENAME:
            _rename(cfg, old, new)

    @classmethod
    def downgrade(cls, cfg: CN) -> None:
        for old, new in reversed(cls.RENAME):
            _rename(cfg, new, old)


class ConverterV1(_RenameConverter):
    """From version 0 to 1."""

    RENAME = [("MODEL.CLS_AGNOSTIC_BBOX_REG", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG")]


class ConverterV2(_RenameConverter):
    """From version 1 to 2: new names, anchors as one list for each level, two thresholds in one list."""

    RENAME = [
        ("MODEL.WEIGHT", "MODEL.WEIGHTS"),
        ("MODEL.RPN.ANCHOR_SIZES", "MODEL.ANCHOR_GENERATOR.SIZES"),
        ("MODEL.RPN.ASPECT_RATIOS", "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS"),
        ("MODEL.RPN.STRADDLE_THRESH", "MODEL.RPN.BOUNDARY_THRESH"),
        ("MODEL.RPN.PRE_NMS_TOP_N_TRAIN", "MODEL.RPN.PRE_NMS_TOPK_TRAIN"),
        ("MODEL.RPN.PRE_NMS_TOP_N_TEST", "MODEL.RPN.PRE_NMS_TOPK_TEST"),
        ("MODEL.RPN.POST_NMS_TOP_N_TRAIN", "MODEL.RPN.POST_NMS_TOPK_TRAIN"),
        ("MODEL.RPN.POST_NMS_TOP_N_TEST", "MODEL.RPN.POST_NMS_TOPK_TEST"),
        ("MODEL.ROI_HEADS.SCORE_THRESH", "MODEL.ROI_HEADS.SCORE_THRESH_TEST"),
        ("MODEL.ROI_HEADS.NMS", "MODEL.ROI_HEADS.NMS_THRESH_TEST"),
        ("MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM", "MODEL.ROI_BOX_HEAD.FC_DIM"),
        ("MODEL.RETINANET.PRE_NMS_TOP_N", "MODEL.RETINANET.TOPK_CANDIDATES_TEST"),
        ("MODEL.RETINANET.NMS_TH", "MODEL.RETINANET.NMS_THRESH_TEST"),
        ("MODEL.RETINANET.INFERENCE_TH", "MODEL.RETINANET.SCORE_THRESH_TEST"),
        ("MODEL.RETINANET.LOSS_ALPHA", "MODEL.RETINANET.FOCAL_LOSS_ALPHA"),
        ("MODEL.RETINANET.LOSS_GAMMA", "MODEL.RETINANET.FOCAL_LOSS_GAMMA"),
        ("MODEL.RETINANET.BBOX_REG_BETA", "MODEL.RETINANET.SMOOTH_L1_LOSS_BETA"),
        ("TEST.DETECTIONS_PER_IMG", "TEST.DETECTIONS_PER_IMAGE"),
    ]
    # (lower bound, upper bound) of version 1 -> the list of version 2
    _RPN_THRESHOLDS = ("MODEL.RPN.BG_IOU_THRESHOLD", "MODEL.RPN.FG_IOU_THRESHOLD")
    _RPN_THRESHOLD_LIST = "MODEL.RPN.IOU_THRESHOLDS"

    @classmethod
    def upgrade(cls, cfg: CN) -> None:
        super().upgrade(cfg)
        sizes, ratios = "MODEL.ANCHOR_GENERATOR.SIZES", "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS"
        if has_key(cfg, sizes) and not _is_nested(get_key(cfg, sizes)):
            set_key(cfg, sizes, [[size] for size in get_key(cfg, sizes)])
        if has_key(cfg, ratios) and not _is_nested(get_key(cfg, ratios)):
            set_key(cfg, ratios, [list(get_key(cfg, ratios))])
        if any(has_key(cfg, key) for key in cls._RPN_THRESHOLDS):
            defaults = get_key(_C, cls._RPN_THRESHOLD_LIST)
            bounds = [
                get_key(cfg, key) if has_key(cfg, key) else d
                for key, d in zip(cls._RPN_THRESHOLDS, defaults, strict=True)
            ]
            for key in filter(lambda key: has_key(cfg, key), cls._RPN_THRESHOLDS):
                remove_key(cfg, key)
            set_key(cfg, cls._RPN_THRESHOLD_LIST, bounds)

    @classmethod
    def downgrade(cls, cfg: CN) -> None:
        if has_key(cfg, cls._RPN_THRESHOLD_LIST):
            for key, bound in zip(cls._RPN_THRESHOLDS, get_key(cfg, cls._RPN_THRESHOLD_LIST), strict=True):
                set_key(cfg, key, bound)
            remove_key(cfg, cls._RPN_THRESHOLD_LIST)
        super().downgrade(cfg)


def _is_nested(values: Any) -> bool:
    return any(isinstance(value, (list, tuple)) for value in values)


_CONVERTERS: dict[int, type[_RenameConverter]] = {1: ConverterV1, 2: ConverterV2}
