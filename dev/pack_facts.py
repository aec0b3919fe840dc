"""Pack the interface facts and golden numbers that the tests need into ``tests/data``.

Usage: ``python dev/pack_facts.py ../shared/facts``. Arrays go into one xz-compressed npz a golden,
weights of the tiny models into one store in which a tensor that several models share stands once,
JSON facts into xz-compressed JSON. ``tests/facts.py`` reads all of them back.
"""

import argparse
import hashlib
import io
import json
import lzma
from pathlib import Path

import numpy as np
import pack_yolo_facts

GOLDENS = [
    "roi_align", "boxes_iou_nms", "deform_conv", "paste_masks", "box_transforms", "anchors", "matcher_sampling",
    "roi_pooler", "norms", "losses", "find_top_rpn_proposals", "fast_rcnn_inference", "lr_schedules", "masks",
    "keypoints", "rotated_boxes_boxmode", "vit_utils_imagelist", "postprocess", "transforms", "mapper", "samplers",
    "coco_eval", "backbones/resnet_basic", "backbones/resnet_bottleneck", "backbones/fpn_sum_p6p7",
]  # fmt: skip
MODELS = ["faster_rcnn_fpn_tiny", "mask_rcnn_fpn_tiny", "mask_rcnn_c4_tiny", "retinanet_tiny", "fcos_lazy_tiny"]
GOLDEN_JSON = ["c2_names", "masks_polygons", "transforms", "coco/COCOEvaluator", "coco/dt", "coco/gt",
               "coco/load_coco_json_first3", "mapper/annotations"]  # fmt: skip
FACTS = ["api", "client_config_keys", "client_imports", "client_overrides", "config_defaults_flat", "init_stats",
         "model_zoo_names", "speed", "zoo_configs"]  # fmt: skip
LIMIT_BYTES = 6 * 2**20


def write_xz(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def pack_arrays(source: Path, target: Path) -> None:
    buffer = io.BytesIO()
    with np.load(source) as arrays:
        np.savez(buffer, **{name: arrays[name] for name in arrays.files})
    write_xz(target, buffer.getvalue())


def pack_weights(models: Path, target: Path) -> None:
    store: dict[str, np.ndarray] = {}
    index: dict[str, dict[str, str]] = {}
    for model in MODELS:
        with np.load(models / f"{model}.weights.npz") as weights:
            index[model] = {}
            for name in weights.files:
                array = weights[name]
                key = hashlib.sha1(array.tobytes() + str((array.shape, array.dtype)).encode()).hexdigest()[:12]
                store[key] = array
                index[model][name] = key
    buffer = io.BytesIO()
    np.savez(buffer, **store)
    write_xz(target / "models" / "weights.npz.xz", buffer.getvalue())
    write_xz(target / "models" / "weights.json.xz", json.dumps(index).encode())


def pack_json(source: Path, target: Path) -> None:
    write_xz(target, json.dumps(json.loads(source.read_text()), separators=(",", ":")).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("facts", type=Path, help="folder of the facts")
    facts = parser.parse_args().facts
    data = Path(__file__).resolve().parents[1] / "tests" / "data"
    golden, target = facts / "golden", data / "golden"
    for name in GOLDENS:
        pack_arrays(golden / f"{name}.npz", target / f"{name}.npz.xz")
    for name in GOLDEN_JSON:
        pack_json(golden / f"{name}.json", target / f"{name}.json.xz")
    for name in ("mapper/img.png", "mapper/sem.png"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((golden / name).read_bytes())
    for name in MODELS:
        pack_arrays(golden / "models" / f"{name}.io.npz", target / "models" / f"{name}.io.npz.xz")
        pack_json(golden / "models" / f"{name}.json", target / "models" / f"{name}.json.xz")
        write_xz(target / "models" / f"{name}.yaml.xz", (golden / "models" / f"{name}.yaml").read_bytes())
    pack_weights(golden / "models", target)
    for name in FACTS:
        pack_json(facts / f"{name}.json", data / f"{name}.json.xz")
    states = {p.stem: json.loads(p.read_text()) for p in sorted((facts / "state_dicts").glob("*.json"))}
    write_xz(data / "state_dicts.json.xz", json.dumps(states, separators=(",", ":")).encode())
    pack_yolo_facts.pack(facts / "yolo", data / "yolo", write_xz)
    size = sum(p.stat().st_size for p in data.rglob("*") if p.is_file())
    print(f"{size / 2**20:.2f} MiB in {data}")
    if size > LIMIT_BYTES:
        raise SystemExit(f"tests/data holds {size} bytes, more than the {LIMIT_BYTES} allowed")


if __name__ == "__main__":
    main()
