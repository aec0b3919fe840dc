"""Facts about the YOLO families: names, counts and golden numbers (``dev/pack_yolo_facts.py`` packed them)."""

import functools
import io
import json
import lzma
import zlib
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parents[2] / "data" / "yolo"


def _read(name: str) -> bytes:
    return lzma.decompress((FOLDER / f"{name}.xz").read_bytes())


@functools.lru_cache(maxsize=8)
def _json(name: str) -> Any:
    return json.loads(_read(f"{name}.json"))


def fact(name: str) -> Any:
    """A JSON fact, for example ``fact("yolo_models")`` or ``fact("yolo_state_dicts/yolov8-n")``."""
    file, _, entry = name.partition("/")
    return _json(file)[entry] if entry else _json(file)


@functools.lru_cache(maxsize=1)
def _store() -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(_read("goldens.npz"))) as arrays:
        return {key: arrays[key] for key in arrays.files}


def _array(entry: dict[str, Any]) -> np.ndarray:
    if "seed" in entry:
        state, shape = np.random.RandomState(entry["seed"]), tuple(entry["shape"])
        state.standard_normal(entry["skip"])
        return state.standard_normal(shape).astype(np.float32)
    stored = _store()[entry["key"]]
    if "shape" not in entry:
        return stored.copy()
    array = np.full(int(np.prod(entry["shape"])), np.nan, dtype=stored.dtype)
    array[_store()[f"{entry['key']}_places"]] = stored
    return array.reshape(entry["shape"])


@functools.lru_cache(maxsize=4)
def golden(name: str) -> dict[str, np.ndarray]:
    """The arrays of a golden, for example ``golden("yolov8n")``.

    Of large results only some numbers are packed, the others are NaN; see :func:`errors`.
    """
    return {key: _array(entry) for key, entry in _json("goldens")["arrays"][name].items()}


def errors(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Differences at the numbers that a golden has, flat."""
    assert ours.shape == theirs.shape, f"shape {ours.shape}, published {theirs.shape}"
    there = ~np.isnan(theirs)
    assert there.any()
    return ours[there] - theirs[there]


def golden_entry(name: str) -> dict[str, Any]:
    """What the index says about a golden."""
    return _json("goldens")["entries"][name]


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
