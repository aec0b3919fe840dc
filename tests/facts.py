"""Golden numbers and interface facts for the tests, unpacked from ``tests/data`` (see ``dev/pack_facts.py``)."""

import functools
import io
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).resolve().parents[2] / "shared"


def _read_xz(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes())


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(_read_xz(path))) as arrays:
        return {name: arrays[name] for name in arrays.files}


@functools.lru_cache(maxsize=4)
def golden(name: str) -> dict[str, np.ndarray]:
    """Arrays of one golden by its name in the facts' index, e.g. ``golden("box_transforms")``."""
    return _arrays(DATA / "golden" / f"{name}.npz.xz")


@functools.lru_cache(maxsize=8)
def golden_json(name: str) -> Any:
    """JSON beside the goldens, e.g. ``golden_json("coco/gt")``."""
    return json.loads(_read_xz(DATA / "golden" / f"{name}.json.xz"))


@functools.lru_cache(maxsize=16)
def fact(name: str) -> Any:
    """A JSON fact: api, client_imports, config_defaults_flat, init_stats, zoo_configs, state_dicts, ..."""
    return json.loads(_read_xz(DATA / f"{name}.json.xz"))


def golden_model_yaml(name: str) -> str:
    """The whole config of a tiny golden model as YAML text."""
    return _read_xz(DATA / "golden" / "models" / f"{name}.yaml.xz").decode()


def golden_model_meta(name: str) -> dict[str, Any]:
    """Losses, logged scalars and gradients of a tiny golden model."""
    return golden_json(f"models/{name}")


def golden_model_io(name: str) -> dict[str, np.ndarray]:
    """Inputs and outputs of a tiny golden model."""
    return _arrays(DATA / "golden" / "models" / f"{name}.io.npz.xz")


@functools.lru_cache(maxsize=1)
def _weight_store() -> dict[str, np.ndarray]:
    return _arrays(DATA / "golden" / "models" / "weights.npz.xz")


def golden_model_weights(name: str) -> dict[str, np.ndarray]:
    """State dict of a tiny golden model as float32 arrays."""
    store = _weight_store()
    arrays = {k: store[key] for k, key in golden_json("models/weights")[name].items()}
    return {k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in arrays.items()}


def shared_path(relative: str) -> Path:
    """A path under the shared folder beside the checkout; skips the test where it is absent."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"shared/{relative} is not on this machine")
    return path
