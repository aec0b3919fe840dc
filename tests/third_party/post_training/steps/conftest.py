"""A detector that finds something, and what the first steps make of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.data import MetadataCatalog
from detectron2.modeling import build_model
from third_party.post_training.__main__ import main
from third_party.post_training.data import find_dataset
from third_party.post_training.judge import Judge
from third_party.post_training.models import load_detector

CHEAP = ("STEPS.MIGRATE", "False", "STEPS.BIAS_CORRECTION", "False", "ACTIVATIONS.OBSERVER", "minmax")
KEPT = 4  # detections of each image that are its ground truth


@dataclass(frozen=True)
class Prepared:
    """A float detector; some of its own detections are the ground truth, so that its AP is no zero."""

    config: str
    weights: str

    def arguments(self, step: str, *more: object, weights: object = None) -> list[str]:
        """A command line."""
        return [step, "--config-file", self.config, "--weights", str(weights or self.weights), *map(str, more)]


@pytest.fixture(scope="session")
def prepared(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    cfg = trained.cfg.clone()
    cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS, cfg.MODEL.RETINANET.NUM_CONVS = 18, 16, 1
    torch.manual_seed(0)
    DetectionCheckpointer(build_model(cfg), str(folder)).save("float")
    weights = str(folder / "float.pth")
    cfg.MODEL.RETINANET.SCORE_THRESH_TEST, cfg.TEST.DETECTIONS_PER_IMAGE = 0.0, 20
    truth = folder / "own.json"
    truth.write_text(json.dumps(_own_detections(cfg, trained, weights)))
    cfg.DATASETS.COCO_INSTANCES += (("ptq_own", str(truth), str(trained.folder / "val")),)
    cfg.DATASETS.TEST = ("ptq_own",)
    (folder / "config.yaml").write_text(cfg.dump())
    return Prepared(str(folder / "config.yaml"), weights)


def _own_detections(cfg, trained, weights):
    judge = Judge(cfg, find_dataset(cfg, ["ptq_shapes_val"], "--eval"))
    found = judge.rate(load_detector(cfg, weights)).predictions
    best = [one for prediction in found for one in sorted(prediction["instances"], key=lambda o: -o["score"])[:KEPT]]
    ids = {to: given for given, to in MetadataCatalog.get(judge.dataset).thing_dataset_id_to_contiguous_id.items()}
    content = json.loads(Path(trained.file("val")).read_text())
    content["annotations"] = [
        {
            "id": number,
            "image_id": one["image_id"],
            "category_id": ids[one["category_id"]],
            "bbox": one["bbox"],
            "area": one["bbox"][2] * one["bbox"][3],
            "iscrowd": 0,
        }
        for number, one in enumerate(best, 1)
    ]
    return content


@pytest.fixture(scope="session")
def calibrated(prepared, tmp_path_factory) -> Path:
    """The folder of the step ``calibrate``."""
    folder = tmp_path_factory.mktemp("calibrated") / "results"
    assert main(prepared.arguments("calibrate", "--calib", "ptq_shapes_train", "--out", folder, *CHEAP)) == 0
    return folder


@pytest.fixture(scope="session")
def exported(prepared, calibrated, tmp_path_factory) -> Path:
    """The folder of the step ``export`` for a quantized detector."""
    pytest.importorskip("onnxscript", reason="needs onnx and onnxscript")
    folder = tmp_path_factory.mktemp("exported") / "results"
    more = ("--target", "onnxruntime", "--program", "--out", folder, "--json", folder.parent / "export.json")
    assert main(prepared.arguments("export", *more, weights=calibrated / "quantized.pth")) == 0
    return folder


@pytest.fixture
def mistake(capsys) -> Callable[[list[str]], str]:
    """Runs a command whose last line on the error stream must tell of the mistake, and returns it."""

    def run(arguments: list[str]) -> str:
        capsys.readouterr()
        assert main(arguments) == 1
        lines = capsys.readouterr().err.splitlines()
        assert [line.startswith("error: ") for line in lines] == [False] * (len(lines) - 1) + [True]
        return lines[-1]

    return run
