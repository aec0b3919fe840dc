"""Compare the files on accuracy and CPU time; see the package."""

import argparse
import dataclasses
import importlib.util
import json
import logging
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detectron2.projects import read_config
from detectron2.utils.logger import setup_logger
from third_party.deploy import DetectorParts, ExportedDetector, pixel_batch
from third_party.post_training import DetectionBatches, Judge, calibration_records, find_dataset, load_detector
from third_party.post_training.evaluation import agreement

from .candidate import Candidate, table
from .nncf_files import nncf_files
from .onnxruntime_static import static_files
from .ours import our_files, write_file

logger = logging.getLogger(__package__)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__)
    add = result.add_argument
    add("--config-file", required=True)
    add("--weights", required=True, help="of a float detector")
    add("--calib", required=True, metavar="DATASET", help="a registered data set to calibrate on")
    add("--eval", metavar="DATASET", help="a registered data set to evaluate on; without, no AP is measured")
    add("--images", type=int, default=64, help="to calibrate on")
    add("--form", default="suppressed", choices=["suppressed", "detector"], help="what the files end with")
    add("--observers", nargs="+", default=["mse", "minmax"], help="of our files")
    add("--size", nargs=2, type=int, metavar=("H", "W"), help="of the timed image; default: the first to calibrate on")
    add("--repeat", type=int, default=20, help="calls that count")
    add("--out", type=Path, required=True, help="folder of the files and of rows.json")
    add("--cfg", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="override a key of the config")
    return result


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    setup_logger(name="third_party")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    cfg = read_config(options.config_file, [part for pair in options.cfg for part in pair])
    name = find_dataset(cfg, [options.calib], "--calib")
    batches = DetectionBatches(cfg, name, calibration_records(name, options.images))
    judge = Judge(cfg, find_dataset(cfg, [options.eval], "--eval")) if options.eval else None
    model = load_detector(cfg, options.weights)
    if judge is not None:
        judge.before = judge.rate(model)
    source = options.out / "float.onnx"
    parts = write_file(model, options.form, source, "generic")
    images = [pixel_batch(parts, batch)[0].numpy() for batch in batches]
    candidates = [Candidate("float", "", engine, source) for engine in ("onnxruntime", "openvino")]
    candidates += our_files(model, batches, options.form, options.observers, options.out)
    candidates += _installed("onnxruntime", static_files(source, images, options.out))
    candidates += _installed("nncf", nncf_files(source, images, options.out))
    if judge is not None:
        for one in candidates:
            _rate(one, parts, judge)
    image = images[0] if options.size is None else _noise(images[0].shape[1], options.size)
    for engine in ("onnxruntime", "openvino"):
        _time([one for one in candidates if one.engine == engine], image, options.repeat)
    candidates.sort(key=lambda one: one.engine)
    print(table(candidates))
    rows = [dataclasses.asdict(one) | {"path": one.path.name, "mebibytes": one.mebibytes} for one in candidates]
    (options.out / "rows.json").write_text(json.dumps(rows, indent=1))


def _installed(package: str, files: Iterable[Candidate]) -> Iterator[Candidate]:
    if importlib.util.find_spec(package) is None:
        logger.warning("%s is not installed: its files are left out (pip install %s)", package, package)
        return
    yield from files


def _rate(one: Candidate, parts: DetectorParts, judge: Judge) -> None:
    assert judge.before is not None
    rated = judge.rate(ExportedDetector(one.load(1), parts))
    one.ap, one.agreement = rated.ap, agreement(judge.before, rated)
    logger.info("%s %s on %s: AP %.2f, agreement %.2f", one.maker, one.settings, one.engine, one.ap, one.agreement)


def _noise(channels: int, size: Sequence[int]) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (1, channels, *size)).astype(np.float32)


def _time(candidates: Sequence[Candidate], image: np.ndarray, repeat: int, warm_up: int = 3) -> None:
    """Calls of all candidates in turns, so that they meet the same load of the machine."""
    sessions: list[Any] = [one.load(1) for one in candidates]
    times: list[list[float]] = [[] for _ in candidates]
    for _ in range(repeat + warm_up):
        for session, own in zip(sessions, times, strict=True):
            start = time.process_time()
            session.run([image])
            own.append(time.process_time() - start)
    for one, own in zip(candidates, times, strict=True):
        one.milliseconds = 1e3 * statistics.median(own[warm_up:])


if __name__ == "__main__":
    main()
