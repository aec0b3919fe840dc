"""Pack the facts about the YOLO families that the tests need; ``dev/pack_facts.py`` calls it.

Arrays of all goldens stand in one store, in which equal ones stand once. Inputs that a seeded generator drew are kept
as the seed. Of large results a part of the numbers stays, the largest among them. ``tests/projects/yolo/facts.py``
reads all of this back.
"""

import hashlib
import io
import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FACTS = ["yolo_models", "recipes"]
GOLDENS = [
    "dfl", "iou_family", "nms_ultralytics", "tal_classic", "tal_ultralytics", "v8_detection_loss_classic",
    "v8_detection_loss_ultralytics", "yolov5_loss_build_targets", "yolov7_loss_build_targets", "yolov7_loss_ota",
    "yolov9_loss", "yolox_simota_loss", "gelan-t", "yolo11n", "yolo12n", "yolo26n", "yolov10n", "yolov10n-original",
    "yolov3-tiny", "yolov5n", "yolov7-deploy", "yolov7-tiny-train", "yolov7-train", "yolov8n", "yolov9-t", "yolox-nano",
]  # fmt: skip
# Arrays, one for each of three levels, that RandomState(seed).standard_normal drew one after the other.
DRAWN = {
    "v8_detection_loss_classic": {20: ("regmax16_feat",), 21: ("e2e_one2one_feat",)},
    "yolov5_loss_build_targets": {11: ("pred",)},
    "yolov9_loss": {31: ("aux_feat", "main_feat")},
}
# Keys of the index that no test reads.
UNUSED = ("arrays", "layer_stats", "verification", "notes")
# Numbers that stay of a large result, and slices of decoded predictions, whose numbers belong together.
KEPT_NUMBERS = 500
KEPT_SLICES = 12

Write = Callable[[Path, bytes], None]


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def digest(array: np.ndarray) -> str:
    return hashlib.sha1(array.tobytes() + str((array.shape, array.dtype)).encode()).hexdigest()[:12]


def drawn_arrays(folder: Path) -> dict[str, tuple[int, int]]:
    """Digest of an array -> seed, and how many numbers were drawn before it.

    Raises:
        ValueError: an array of DRAWN is not what its seed gives.
    """
    found = {}
    for golden, seeds in DRAWN.items():
        with np.load(folder / f"{golden}.npz") as arrays:
            for seed, stems in seeds.items():
                names = [f"{stem}{level}" for stem in stems for level in range(3)]
                state, offset = np.random.RandomState(seed), 0
                for name in names:
                    array = arrays[name]
                    if not np.array_equal(state.standard_normal(array.shape).astype(np.float32), array):
                        raise ValueError(f"{golden}: {name} is not drawn from the seed {seed}")
                    found[digest(array)] = (seed, offset)
                    offset += array.size
    return found


def positions(name: str, array: np.ndarray) -> np.ndarray | None:
    """Flat indices of the numbers to keep; None for all of them."""
    is_result = "grad" in name or "decoded" in name or "raw" in name or "box" in name or "cls" in name
    if array.dtype != np.float32 or array.size <= 2 * KEPT_NUMBERS or not is_result:
        return None
    state = np.random.RandomState(zlib.crc32(name.encode()))
    if "decoded" in name:
        axis = int(np.argmax(array.shape))
        slices = state.permutation(array.shape[axis])[:KEPT_SLICES]
        return np.sort(np.take(np.arange(array.size).reshape(array.shape), slices, axis).ravel())
    some = state.permutation(array.size)[:KEPT_NUMBERS]
    return np.union1d(some, [np.abs(array).argmax()])


def pack_goldens(source: Path, thinned: Callable[[str], bool]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The store of arrays, and golden -> array -> how to read it from the store."""
    drawn, store, index = drawn_arrays(source), {}, {}
    for golden in GOLDENS:
        entries: dict[str, Any] = {}
        with np.load(source / f"{golden}.npz") as arrays:
            for name in arrays.files:
                array, key = arrays[name], digest(arrays[name])
                places = positions(name, array) if thinned(golden) or "grad" in name else None
                if key in drawn:
                    entries[name] = {"seed": drawn[key][0], "skip": drawn[key][1], "shape": array.shape}
                elif places is None:
                    entries[name] = {"key": key}
                    store[key] = array
                else:
                    entries[name] = {"key": key, "shape": array.shape}
                    store[key], store[f"{key}_places"] = array.ravel()[places], places.astype(np.int32)
        index[golden] = entries
    return store, index


def is_model(golden: str) -> bool:
    """Whether a golden holds the predictions of a whole network."""
    return golden.startswith(("yolo", "gelan")) and "loss" not in golden


def pack(source: Path, target: Path, write: Write) -> None:
    """Pack the folder of facts ``source`` into ``target``.

    Args:
        source, target: folders.
        write: compresses bytes into a file.
    """
    for name in FACTS:
        write(target / f"{name}.json.xz", as_json(read_json(source / f"{name}.json")))
    states: Mapping[str, Any] = {p.stem: read_json(p) for p in sorted((source / "yolo_state_dicts").glob("*.json"))}
    write(target / "yolo_state_dicts.json.xz", as_json(states))
    store, arrays = pack_goldens(source / "golden", is_model)
    known = read_json(source / "golden" / "INDEX.json")["entries"]
    settings = {name: {k: v for k, v in known[name].items() if k not in UNUSED} for name in GOLDENS}
    write(target / "goldens.json.xz", as_json({"entries": settings, "arrays": arrays}))
    buffer = io.BytesIO()
    np.savez(buffer, **store)
    write(target / "goldens.npz.xz", buffer.getvalue())
