"""Looks at a COCO json: ``python -m detectron2.data.datasets.coco FILE.json IMAGE_ROOT``."""

import argparse
from pathlib import Path


def main() -> None:
    """Draw the images of a COCO json with their annotations into a folder (the command line of ``datasets.coco``)."""
    from detectron2.data.detection_utils import read_image
    from detectron2.utils.visualizer import Visualizer

    from ..catalog import MetadataCatalog
    from .coco import load_coco_json

    parser = argparse.ArgumentParser(description="Draw a COCO json's images with their annotations.")
    parser.add_argument("json_file", help="annotations in COCO's format")
    parser.add_argument("image_root", help="folder of the images")
    parser.add_argument("dataset_name", nargs="?", default="coco_preview", help="name whose metadata is filled in")
    parser.add_argument("--output", type=Path, default=Path("coco_preview"), help="folder to write to")
    parser.add_argument("--limit", type=int, default=20, help="draw so many images at most")
    args = parser.parse_args()

    dicts = load_coco_json(args.json_file, args.image_root, args.dataset_name)
    metadata = MetadataCatalog.get(args.dataset_name)
    args.output.mkdir(parents=True, exist_ok=True)
    for record in dicts[: args.limit]:
        image = read_image(record["file_name"], format="RGB")
        drawn = Visualizer(image, metadata=metadata).draw_dataset_dict(record)
        drawn.save(str(args.output / Path(record["file_name"]).name))
    print(f"{len(dicts)} images, {sum(len(r.get('annotations', ())) for r in dicts)} annotations; see {args.output}")
