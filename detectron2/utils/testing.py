"""Helpers for tests of models and structures, for this package and for projects built on it."""

import unittest
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from detectron2 import model_zoo
from detectron2.config import CfgNode
from detectron2.data.catalog import DatasetCatalog
from detectron2.data.detection_utils import read_image
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances, ROIMasks
from detectron2.utils.file_io import PathManager
from detectron2.utils.torch_version_utils import min_torch_version

__all__ = [
    "Boxes",
    "CfgNode",
    "DatasetCatalog",
    "Instances",
    "PathManager",
    "ROIMasks",
    "assert_instances_allclose",
    "build_model",
    "get_model_no_weights",
    "get_sample_coco_image",
    "min_torch_version",
    "random_boxes",
    "read_image",
    "skipIfUnsupportedMinTorchVersion",
]


def get_model_no_weights(config_path: str) -> nn.Module:
    """A model of the zoo with random weights, on the GPU where there is one.

    Args:
        config_path: its name in the zoo, e.g. ``"COCO-Detection/retinanet_R_50_FPN_1x.yaml"``.
    """
    cfg = model_zoo.get_config(config_path)
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    return build_model(cfg)


def random_boxes(num_boxes: int, max_coord: float = 100, device: torch.device | str = "cpu") -> torch.Tensor:
    """Random boxes, each side at least 1 pixel.

    Args:
        num_boxes: N.
        max_coord: no coordinate is larger; at least 2.
        device: where to make them.

    Returns:
        Tensor[N, 4], (x1, y1, x2, y2).
    """
    corner, size = (torch.rand(2, num_boxes, 2, device=device) * (max_coord / 2)).clamp(min=1.0)
    return torch.cat([corner, corner + size], dim=1)


def get_sample_coco_image(tensor: bool = True) -> torch.Tensor | np.ndarray:
    """An image to run a model on: the first of ``coco_2017_val_100`` if it is there, else a drawn one.

    Args:
        tensor: return uint8 Tensor[3, H, W]; otherwise an array [H, W, 3].

    Returns:
        The image, BGR.
    """
    image = _first_coco_image()
    if image is None:
        image = _drawn_image(480, 640)
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))) if tensor else image


def _first_coco_image() -> np.ndarray | None:
    try:
        file_name = DatasetCatalog.get("coco_2017_val_100")[0]["file_name"]
    except (KeyError, FileNotFoundError):
        return None
    return read_image(file_name, format="BGR") if PathManager.isfile(file_name) else None


def _drawn_image(height: int, width: int) -> np.ndarray:
    """uint8 [H, W, 3]: colour gradients with a few filled rectangles; the same in every run."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=-1)
    rng = np.random.RandomState(0)
    for _ in range(8):
        top, left = rng.randint(0, height - 20), rng.randint(0, width - 20)
        image[top : top + rng.randint(20, 200), left : left + rng.randint(20, 200)] = rng.randint(0, 256, 3)
    return image.astype(np.uint8)


def assert_instances_allclose(
    input: Instances, other: Instances, *, rtol: float = 1e-5, msg: str = "", size_as_tensor: bool = False
) -> None:
    """Check that two Instances have the same size and fields, with values close to each other.

    Args:
        input: what was computed.
        other: what is expected.
        rtol: allowed difference of floating-point fields, as part of the largest expected value.
        msg: put before what differs.
        size_as_tensor: the image sizes may be tensors, as traced models give them.

    Raises:
        AssertionError: naming the field and the largest difference.
        TypeError: a field is of a type that cannot be compared.
    """
    head = f"{msg}: " if msg else ""
    sizes = [s.image_size for s in (input, other)]
    if size_as_tensor:
        sizes = [tuple(torch.as_tensor(s).tolist()) for s in sizes]
    if sizes[0] != sizes[1]:
        raise AssertionError(f"{head}image_size is {sizes[0]}, expected {sizes[1]}")
    fields, expected_fields = input.get_fields(), other.get_fields()
    if set(fields) != set(expected_fields):
        raise AssertionError(f"{head}fields are {sorted(fields)}, expected {sorted(expected_fields)}")
    for name, value in fields.items():
        _assert_close(f"{head}{name}", value, expected_fields[name], rtol)


def _assert_close(name: str, value: Any, expected: Any, rtol: float) -> None:
    if isinstance(value, (Boxes, ROIMasks)):
        value, expected = value.tensor, expected.tensor
    if not isinstance(value, torch.Tensor):
        if value is None or isinstance(value, (int, float, str, list, tuple)):
            if value != expected:
                raise AssertionError(f"{name} is {value!r}, expected {expected!r}")
            return
        raise TypeError(f"{name}: fields of type {type(value).__name__} cannot be compared")
    if value.shape != expected.shape:
        raise AssertionError(f"{name} has shape {tuple(value.shape)}, expected {tuple(expected.shape)}")
    if value.numel() == 0:
        return
    difference = (value.double() - expected.double()).abs().max().item()
    allowed = rtol * expected.double().abs().max().item() if value.is_floating_point() else 0.0
    # written this way round so that NaN fails
    if not difference <= allowed:
        raise AssertionError(f"{name} differs by up to {difference:g}, allowed is {allowed:g}")


def skipIfUnsupportedMinTorchVersion(min_version: str) -> Callable[[Any], Any]:
    """Decorator that skips a test with a PyTorch older than ``min_version``."""
    return unittest.skipIf(not min_torch_version(min_version), f"needs torch {min_version} or later")
