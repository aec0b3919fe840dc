#!/usr/bin/env python
"""Draw a data set's annotations: as they are on disk, or as the training loader gives them to the model.

Example: ``python tools/visualize_data.py --config-file X --source dataloader --output-dir out --limit 20``
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_train_loader
from detectron2.data.detection_utils import convert_image_to_rgb, filter_empty_instances, read_image
from detectron2.engine.preflight import register_configured_datasets
from detectron2.projects import read_config
from detectron2.utils.logger import setup_logger
from detectron2.utils.visualizer import VisImage, Visualizer


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=["annotation", "dataloader"], required=True)
    parser.add_argument("--config-file", required=True, metavar="FILE")
    parser.add_argument("--output-dir", type=Path, default=Path("./"))
    parser.add_argument("--limit", type=int, default=50, help="at most this many pictures")
    parser.add_argument("opts", nargs=argparse.REMAINDER, default=[], help="config overrides KEY VALUE ...")
    return parser.parse_args(argv)


def setup_cfg(args: argparse.Namespace) -> CfgNode:
    cfg = read_config(args.config_file, args.opts)
    register_configured_datasets(cfg)
    cfg.freeze()
    return cfg


def draw_loader_sample(sample: dict[str, Any], cfg: CfgNode, metadata: Any) -> VisImage:
    image = convert_image_to_rgb(sample["image"].permute(1, 2, 0), cfg.INPUT.FORMAT)
    visualizer = Visualizer(image, metadata)
    fields = filter_empty_instances(sample["instances"]).get_fields()
    names = metadata.get("thing_classes", None)
    classes = fields["gt_classes"].tolist()
    return visualizer.overlay_instances(
        labels=[names[c] if names else str(c) for c in classes],
        boxes=fields.get("gt_boxes"),
        masks=fields.get("gt_masks"),
        keypoints=fields.get("gt_keypoints"),
    )


def from_loader(cfg: CfgNode, metadata: Any) -> Iterator[tuple[str, VisImage]]:
    for batch in build_detection_train_loader(cfg):
        for sample in batch:
            yield sample["file_name"], draw_loader_sample(sample, cfg, metadata)


def from_annotations(cfg: CfgNode, metadata: Any) -> Iterator[tuple[str, VisImage]]:
    for name in cfg.DATASETS.TRAIN:
        for record in DatasetCatalog.get(name):
            image = read_image(record["file_name"], "RGB")
            yield record["file_name"], Visualizer(image, metadata).draw_dataset_dict(record)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    logger = setup_logger()
    cfg = setup_cfg(args)
    torch.manual_seed(max(cfg.SEED, 0))
    args.output_dir.mkdir(parents=True, exist_ok=True)
    metadata = MetadataCatalog.get(cfg.DATASETS.TRAIN[0])
    source = from_loader if args.source == "dataloader" else from_annotations
    for index, (file_name, drawn) in enumerate(itertools.islice(source(cfg, metadata), args.limit)):
        target = args.output_dir / f"{index:05d}_{Path(file_name).stem}.png"
        drawn.save(str(target))
        logger.info(f"{file_name} -> {target}")


if __name__ == "__main__":
    main()
