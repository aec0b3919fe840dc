#!/usr/bin/env python
"""Draw a detector's predictions on pictures, folders of pictures, or a video.

Example: ``python tools/demo.py --config-file X --input a.jpg folder/ --output out/ --opts MODEL.WEIGHTS w.pth``
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.data.detection_utils import read_image
from detectron2.engine import DefaultPredictor
from detectron2.engine.preflight import register_configured_datasets
from detectron2.projects import read_config
from detectron2.structures import Instances
from detectron2.utils.logger import setup_logger
from detectron2.utils.visualizer import ColorMode, Visualizer

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True, metavar="FILE")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--input", nargs="+", type=Path, help="pictures and folders of pictures")
    source.add_argument("--video-input", type=Path, help="a video file (needs opencv-python-headless)")
    parser.add_argument("--output", type=Path, required=True, help="folder; for a video: the file to write")
    parser.add_argument("--confidence-threshold", type=float, default=0.5, help="least score drawn")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="config overrides KEY VALUE ...")
    return parser.parse_args(argv)


def setup_cfg(args: argparse.Namespace) -> CfgNode:
    cfg = read_config(args.config_file, args.opts)
    register_configured_datasets(cfg)
    for node in (cfg.MODEL.RETINANET, cfg.MODEL.ROI_HEADS, cfg.MODEL.FCOS):
        node.SCORE_THRESH_TEST = args.confidence_threshold
    cfg.freeze()
    return cfg


def pictures(inputs: list[Path]) -> list[Path]:
    """The pictures among ``inputs`` and directly inside its folders.

    Raises:
        FileNotFoundError: if a path is absent or a folder holds no picture.
    """
    found: list[Path] = []
    for path in inputs:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES)
            if not inside:
                raise FileNotFoundError(f"no picture ({', '.join(sorted(PICTURES))}) in folder {path}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise FileNotFoundError(f"--input {path} does not exist")
    return found


def output_names(paths: list[Path]) -> list[str]:
    """File names to write to: the pictures' own, with a number where several have the same."""
    seen: Counter[str] = Counter()
    names = []
    for path in paths:
        seen[path.stem] += 1
        number = f"_{seen[path.stem]}" if seen[path.stem] > 1 else ""
        names.append(f"{path.stem}{number}.png")
    return names


def run_on_pictures(args: argparse.Namespace, cfg: CfgNode, metadata: object) -> None:
    logger = setup_logger()
    predictor = DefaultPredictor(cfg)
    args.output.mkdir(parents=True, exist_ok=True)
    paths = pictures(args.input)
    for path, name in zip(paths, output_names(paths), strict=True):
        image = read_image(str(path), format="BGR")
        start = time.perf_counter()
        instances = found(predictor, image, args.confidence_threshold)
        seconds = time.perf_counter() - start
        drawn = Visualizer(image[:, :, ::-1], metadata).draw_instance_predictions(instances)
        drawn.save(str(args.output / name))
        logger.info(f"{path}: {len(instances)} instances in {seconds:.2f} s")


def found(predictor: DefaultPredictor, image: np.ndarray, threshold: float) -> Instances:
    """Instances in a BGR picture that score at least ``threshold``; a project's models know thresholds of their own."""
    instances = predictor(image)["instances"].to("cpu")
    return instances[instances.scores >= threshold]


def frames(capture: object) -> Iterator[np.ndarray]:
    """BGR frames of an OpenCV capture until it ends."""
    while True:
        ok, frame = capture.read()
        if not ok:
            return
        yield frame


def run_on_video(args: argparse.Namespace, cfg: CfgNode, metadata: object) -> None:
    try:
        import cv2
    except ImportError as error:
        raise SystemExit("--video-input needs OpenCV: pip install opencv-python-headless") from error
    from tqdm import tqdm

    from detectron2.utils.video_visualizer import VideoVisualizer

    if not args.video_input.is_file():
        raise FileNotFoundError(f"--video-input {args.video_input} does not exist")
    capture = cv2.VideoCapture(str(args.video_input))
    width, height = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if not capture.isOpened() or width == 0:
        raise ValueError(f"{args.video_input} cannot be read as a video")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
    writer = cv2.VideoWriter(str(args.output), cv2.VideoWriter_fourcc(*"mp4v"), rate, (width, height))
    predictor, visualizer = DefaultPredictor(cfg), VideoVisualizer(metadata, ColorMode.IMAGE)
    for frame in tqdm(frames(capture), total=int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) or None, file=sys.stderr):
        instances = found(predictor, frame, args.confidence_threshold)
        drawn = visualizer.draw_instance_predictions(frame[:, :, ::-1], instances).get_image()
        writer.write(np.ascontiguousarray(drawn[:, :, ::-1]))
    writer.release()
    capture.release()


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = setup_cfg(args)
    metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0] if len(cfg.DATASETS.TEST) else "__unused")
    (run_on_pictures if args.input else run_on_video)(args, cfg, metadata)


if __name__ == "__main__":
    main()
