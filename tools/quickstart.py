#!/usr/bin/env python
"""Train a small YOLO on generated shapes, quantize it to 8 bits, evaluate both, and draw predictions, in one command.

Example: ``python tools/quickstart.py --output output/quickstart SOLVER.MAX_ITER 1000``
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
# A script's folder is on the path, its project is not.
sys.path.insert(0, str(ROOT))

from datasets.shapes import write_splits  # noqa: E402
from detectron2.config import CfgNode  # noqa: E402
from detectron2.data import MetadataCatalog  # noqa: E402
from detectron2.data.detection_utils import read_image  # noqa: E402
from detectron2.engine import DefaultPredictor, default_argument_parser  # noqa: E402
from detectron2.utils.visualizer import Visualizer  # noqa: E402
from projects.YOLO import train_net  # noqa: E402

CONFIGS = ROOT / "projects" / "YOLO" / "configs"
FLOAT_CONFIG = CONFIGS / "quick_start" / "yolov8n_shapes.yaml"
INT8_CONFIG = CONFIGS / "Quantization" / "quick_start" / "yolov8n_shapes_W8A8.yaml"
SPLITS = ("train", "val")
DRAWN = 4


def train(config: Path, data: Path, output: Path, options: list[str]) -> dict[str, float]:
    """Train on the generated data; gives the figures of the boxes. Weights and the whole config are in ``output``."""
    args = default_argument_parser().parse_args(
        ["--config-file", str(config), *data_options(data), "OUTPUT_DIR", str(output), *options]
    )
    results = train_net.main(args)
    assert results is not None
    return results["bbox"]


def data_options(data: Path) -> list[str]:
    """KEY VALUE pairs that register the generated data and train on it."""
    triples = [(f"quickstart_{s}", str(data / "annotations" / f"instances_{s}.json"), str(data / s)) for s in SPLITS]
    return [
        *("DATASETS.COCO_INSTANCES", repr(triples)),
        *("DATASETS.TRAIN", "('quickstart_train',)"),
        *("DATASETS.TEST", "('quickstart_val',)"),
    ]


def draw(model: Path, pictures: list[Path], target: Path, threshold: float = 0.4) -> int:
    """Writes pictures, side by side, with the predictions that score at least ``threshold``; returns their number.

    Args:
        model: folder of a training.
        pictures: files of one size.
        target: file to write.
        threshold: least score drawn.
    """
    cfg = CfgNode.load_cfg((model / "config.yaml").read_text())
    cfg.MODEL.WEIGHTS = str(model / "model_final.pth")
    predictor, metadata = DefaultPredictor(cfg), MetadataCatalog.get(cfg.DATASETS.TEST[0])
    drawn, found = [], 0
    for picture in pictures:
        image = read_image(str(picture), format="BGR")
        instances = predictor(image)["instances"].to("cpu")
        instances = instances[instances.scores >= threshold]
        found += len(instances)
        visualizer = Visualizer(image[:, :, ::-1], metadata, scale=3.0)
        drawn.append(visualizer.draw_instance_predictions(instances).get_image())
    Image.fromarray(np.concatenate(drawn, axis=1)).save(target)
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "output" / "quickstart", help="folder to write to")
    parser.add_argument("--train-images", type=int, default=800)
    parser.add_argument("--val-images", type=int, default=100)
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="config overrides KEY VALUE ... of both trainings")
    args = parser.parse_args(argv)
    start = time.monotonic()
    data, full, int8 = (args.output / name for name in ("shapes", "float", "int8"))
    print(f"Generating {args.train_images} + {args.val_images} pictures in {data}", flush=True)
    write_splits(data, args.train_images, args.val_images)

    before = train(FLOAT_CONFIG, data, full, args.opts)
    weights = str(full / "model_final.pth")
    after = train(INT8_CONFIG, data, int8, [*args.opts, "MODEL.WEIGHTS", weights])

    picture = args.output / "predictions.png"
    found = draw(int8, sorted((data / "val").iterdir())[:DRAWN], picture)
    print(
        f"\nOn {args.val_images} pictures, {time.monotonic() - start:.0f} s in all:\n"
        f"  float: box AP {before['AP']:.1f}, AP50 {before['AP50']:.1f}  ({full})\n"
        f"  INT8:  box AP {after['AP']:.1f}, AP50 {after['AP50']:.1f}  ({int8})\n"
        f"{found} predictions of the INT8 model drawn in {picture}."
    )


if __name__ == "__main__":
    main()
