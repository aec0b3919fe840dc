"""Configs, weights and models by the names of the zoo, e.g. ``"COCO-Detection/retinanet_R_50_FPN_1x.yaml"``."""

from pathlib import Path

from torch import nn

from ..checkpoint import DetectionCheckpointer
from ..config import CfgNode, get_cfg
from ..config.keys import near_matches
from ..modeling import build_model
from .zoo_weights import _ModelZooUrls

__all__ = ["get", "get_checkpoint_url", "get_config", "get_config_file"]

_PACKAGE = Path(__file__).resolve().parent


def _configs_folder() -> Path:
    """Where the configs are: in an installed package beside this file, in a checkout at its top."""
    packaged = _PACKAGE / "configs"
    return packaged if packaged.is_dir() else _PACKAGE.parents[1] / "configs"


def get_checkpoint_url(config_path: str) -> str:
    """The URL of the weights trained with a config.

    Args:
        config_path: name relative to ``configs/``, e.g. ``"COCO-Detection/retinanet_R_50_FPN_1x.yaml"``.

    Raises:
        KeyError: the zoo has no weights for it; similar names that have some are listed.
    """
    url = _ModelZooUrls.query(config_path)
    if url is None:
        similar = near_matches(config_path.removesuffix(".yaml"), _ModelZooUrls.CONFIG_PATH_TO_URL_SUFFIX)
        hint = f" There are weights for {', '.join(name + '.yaml' for name in similar)}" if similar else ""
        raise KeyError(f"the model zoo has no weights for '{config_path}'.{hint}")
    return url


def get_config_file(config_path: str) -> str:
    """The path of a config file that comes with the package.

    Args:
        config_path: name relative to ``configs/``.

    Raises:
        FileNotFoundError: there is no such config; similar names are listed.
    """
    folder = _configs_folder()
    path = folder / config_path
    if not path.is_file():
        names = [file.relative_to(folder).as_posix() for file in folder.rglob("*.yaml")]
        similar = near_matches(config_path, names)
        hint = f"Did you mean {', '.join(similar)}?" if similar else f"{folder} holds {len(names)} configs."
        raise FileNotFoundError(f"no config '{config_path}' comes with detectron2. {hint}")
    return str(path)


def get_config(config_path: str, trained: bool = False) -> CfgNode:
    """The whole config of a zoo model.

    Args:
        config_path: name relative to ``configs/``.
        trained: let ``MODEL.WEIGHTS`` be the trained weights instead of those that training starts from.

    Raises:
        FileNotFoundError: there is no such config.
        KeyError: ``trained``, and the zoo has no weights for it.
    """
    cfg = get_cfg()
    cfg.merge_from_file(get_config_file(config_path))
    if trained:
        cfg.MODEL.WEIGHTS = get_checkpoint_url(config_path)
    return cfg


def get(config_path: str, trained: bool = False, device: str | None = None) -> nn.Module:
    """Build a zoo model and load its weights.

    Args:
        config_path: name relative to ``configs/``.
        trained: load the trained weights; otherwise those that training starts from.
        device: overrides ``MODEL.DEVICE``. By default a GPU if there is one, else the CPU.

    Returns:
        the model in training mode.

    Raises:
        FileNotFoundError, KeyError: see :func:`get_config`.
    """
    cfg = get_config(config_path, trained)
    cfg.MODEL.DEVICE = "auto" if device is None else device
    model = build_model(cfg)
    DetectionCheckpointer(model).load(cfg.MODEL.WEIGHTS)
    return model
