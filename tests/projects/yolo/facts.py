"""Facts about the YOLO families: names, counts and golden numbers, read from the folder beside the checkout."""

import functools
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "facts" / "yolo"


def _find(path: str) -> Path:
    file = FOLDER / path
    if not file.is_file():
        pytest.skip(f"needs ../shared/facts/yolo/{path}, which is not on this machine")
    return file


@functools.lru_cache(maxsize=8)
def fact(name: str) -> Any:
    """A JSON fact, for example ``fact("yolo_models")`` or ``fact("yolo_state_dicts/yolov8-n")``."""
    return json.loads(_find(f"{name}.json").read_text())


@functools.lru_cache(maxsize=4)
def golden(name: str) -> dict[str, np.ndarray]:
    """The arrays of a golden, for example ``golden("yolov8n")``."""
    with np.load(_find(f"golden/{name}.npz")) as arrays:
        return {key: arrays[key] for key in arrays.files}


def golden_entry(name: str) -> dict[str, Any]:
    """What the index says about a golden."""
    return fact("golden/INDEX")["entries"][name]


def golden_image() -> np.ndarray:
    """The image of the model goldens, float32 of shape (1, 3, 128, 160) in 0..1."""
    return np.random.RandomState(0).random_sample((1, 3, 128, 160)).astype(np.float32)


def filled(name: str, shape: tuple[int, ...], conv_gain: float = 1.0) -> np.ndarray:
    """The value that the goldens' formula gives to a tensor of that published name."""
    seed = zlib.crc32(name.encode()) & 0x7FFFFFFF
    z = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    kind = name.rsplit(".", 1)[-1]
    if kind == "weight" and len(shape) > 1:
        return (z * np.sqrt(2 / np.prod(shape[1:])) * conv_gain).astype(np.float32)
    if kind == "weight" or (kind == "implicit" and ".im." in name):
        return 1 + np.float32(0.1) * z
    if kind == "running_var":
        return 1 + np.float32(0.1) * np.abs(z)
    if kind in ("bias", "running_mean", "implicit"):
        return np.float32(0.1) * z
    raise ValueError(f"the formula has no rule for a tensor named {name!r}")
