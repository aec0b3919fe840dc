#!/usr/bin/env python
"""Train a small detector on generated shapes, evaluate it, and draw its predictions: the framework in one command.

Example: ``python tools/quickstart.py --output output/quickstart SOLVER.MAX_ITER 500 SOLVER.STEPS "(350, 450)"``
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A script's folder is on the path, its project is not.
sys.path.insert(0, str(ROOT))

from datasets.shapes import write_splits  # noqa: E402
from detectron2.config import CfgNode  # noqa: E402
from detectron2.data import MetadataCatalog  # noqa: E402
from detectron2.data.detection_utils import read_image  # noqa: E402
from detectron2.engine import DefaultPredictor, default_argument_parser  # noqa: E402
from detectron2.utils.visualizer import Visualizer  # noqa: E402
from tools import train_net  # noqa: E402

CONFIG = ROOT / "configs" / "quick_start" / "faster_rcnn_R_18_FPN_shapes.yaml"
SPLITS = ("train", "val")


def draw(cfg: CfgNode, image_file: Path, target: Path, threshold: float = 0.25) -> int:
    """Writes a picture with the predictions that score at least ``threshold``; returns their number."""
    image = read_image(str(image_file), format="BGR")
    instances = DefaultPredictor(cfg)(image)["instances"].to("cpu")
    instances = instances[instances.scores >= threshold]
    metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
    Visualizer(image[:, :, ::-1], metadata, scale=4.0).draw_instance_predictions(instances).save(str(target))
    return len(instances)


def config_options(data: Path, output: Path) -> list[str]:
    """KEY VALUE pairs that register the generated data and train on it."""
    triples = [(f"quickstart_{s}", str(data / "annotations" / f"instances_{s}.json"), str(data / s)) for s in SPLITS]
    return [
        *("DATASETS.COCO_INSTANCES", repr(triples)),
        *("DATASETS.TRAIN", "('quickstart_train',)"),
        *("DATASETS.TEST", "('quickstart_val',)"),
        *("OUTPUT_DIR", str(output)),
    ]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "output" / "quickstart", help="folder to write to")
    parser.add_argument("--train-images", type=int, default=400)
    parser.add_argument("--val-images", type=int, default=100)
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="config overrides KEY VALUE ...")
    args = parser.parse_args(argv)
    start = time.monotonic()
    data = args.output / "shapes"
    print(f"Generating {args.train_images} + {args.val_images} pictures in {data}", flush=True)
    write_splits(data, args.train_images, args.val_images)

    options = [*config_options(data, args.output), *args.opts]
    train_args = default_argument_parser().parse_args(["--config-file", str(CONFIG), *options])
    results = train_net.main(train_args)

    cfg = CfgNode.load_cfg((args.output / "config.yaml").read_text())
    cfg.MODEL.WEIGHTS = str(args.output / "model_final.pth")
    picture = args.output / "predictions.png"
    found = draw(cfg, data / "val" / "000000.png", picture)
    box = results["bbox"]
    print(
        f"\nBox AP {box['AP']:.1f}, AP50 {box['AP50']:.1f} on {args.val_images} pictures, "
        f"{time.monotonic() - start:.0f} s in all.\n"
        f"{found} predictions drawn in {picture}; weights in {cfg.MODEL.WEIGHTS}, log in {args.output / 'log.txt'}."
    )


if __name__ == "__main__":
    main()
