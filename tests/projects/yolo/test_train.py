"""The training command, from a config file of the project and the command line, on generated pictures."""

import argparse
import json
from pathlib import Path

import pytest
import torch
from detectron2.projects.yolo.trainer import YOLOTrainer
from detectron2.projects.yolo.training import EMAHook

from datasets.shapes import write_splits
from detectron2.engine import default_argument_parser
from detectron2.engine.command import setup_command
from projects.YOLO import train_net
from third_party.quantization import QuantConv2d

CONFIGS = Path(__file__).resolve().parents[3] / "projects" / "YOLO" / "configs"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    write_splits(folder, train=8, val=2, size=(64, 48))
    return folder


def arguments(name: str, shapes: Path, output: Path, *more: str) -> argparse.Namespace:
    """A command line: the config on the pictures, two steps of two images of 64 pixels."""
    sets = tuple(
        (f"yolo_{split}", str(shapes / "annotations" / f"instances_{split}.json"), str(shapes / split))
        for split in ("train", "val")
    )
    settings = {
        "DATASETS.COCO_INSTANCES": sets,
        "DATASETS.TRAIN": ("yolo_train",),
        "DATASETS.TEST": ("yolo_val",),
        "DATALOADER.NUM_WORKERS": 0,
        "INPUT.YOLO.SIZE": [64, 64],
        "INPUT.MIN_SIZE_TEST": 64,
        "INPUT.MAX_SIZE_TEST": 64,
        "MODEL.YOLO.NUM_CLASSES": 4,
        "MODEL.DEVICE": "cpu",
        "SOLVER.IMS_PER_BATCH": 2,
        "SOLVER.MAX_ITER": 2,
        "SOLVER.WARMUP_ITERS": 1,
        "OUTPUT_DIR": str(output),
    }
    flags = [part for part in more if part.startswith("--")]
    options = [part for key, value in settings.items() for part in (key, str(value))]
    options += [part for part in more if part not in flags]
    return default_argument_parser().parse_args(["--config-file", str(CONFIGS / name), *flags, *options])


def test_train_resume_and_evaluate(shapes: Path, tmp_path: Path) -> None:
    name = "quick_start/yolov8n_shapes.yaml"
    results = train_net.main(arguments(name, shapes, tmp_path))
    assert "AP50" in results["bbox"]
    first = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert first["iteration"] == 1
    train_net.main(arguments(name, shapes, tmp_path, "--resume", "SOLVER.MAX_ITER", "3"))
    last = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert last["iteration"] == 2
    records = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert all("num_pos_anchors" in record for record in records if "total_loss" in record)
    weights = ("MODEL.WEIGHTS", str(tmp_path / "model_final.pth"))
    evaluation = arguments(name, shapes, tmp_path / "evaluation", "--eval-only", *weights)
    assert train_net.main(evaluation)
    assert (tmp_path / "evaluation" / "inference" / "coco_instances_results.json").exists()
    # the quantized model starts from what the float one has learned
    trainer = YOLOTrainer(
        setup_command(
            arguments("Quantization/quick_start/yolov8n_shapes_W4A4.yaml", shapes, tmp_path / "quantized", *weights)
        )
    )
    trainer.resume_or_load(resume=False)
    stem = trainer.model.network.layers[0]
    assert isinstance(stem, QuantConv2d)
    torch.testing.assert_close(stem.weight.detach(), last["model"]["network.layers.0.weight"])
    assert trainer.train()["bbox"]["AP"] >= 0


def test_averaged_weights_are_tested_and_saved(shapes: Path, tmp_path: Path) -> None:
    trainer = YOLOTrainer(setup_command(arguments("quick_start/yolox_nano_shapes.yaml", shapes, tmp_path)))
    trainer.train()
    hook = next(hook for hook in trainer._hooks if isinstance(hook, EMAHook))
    saved = torch.load(tmp_path / "model_final.pth", weights_only=True)["model"]
    own = trainer.model.state_dict()
    name = "network.layers.0.conv.weight"
    torch.testing.assert_close(saved[name], hook.ema.average[name], rtol=0, atol=0)
    assert not torch.equal(saved[name], own[name])


def test_a_step_sees_the_nominal_batch(shapes: Path, tmp_path: Path) -> None:
    options = ("MODEL.YOLO.TRAINING.NOMINAL_BATCH", "6", "MODEL.YOLO.TRAINING.EMA.ENABLED", "False")
    trainer = YOLOTrainer(setup_command(arguments("quick_start/yolov8n_shapes.yaml", shapes, tmp_path, *options)))
    assert trainer.cfg.SOLVER.ACCUMULATION_STEPS == 3
    assert trainer.model.loss_scale == 6.0
    assert not any(isinstance(hook, EMAHook) for hook in trainer._hooks)


def test_mistakes_are_named(shapes: Path, tmp_path: Path) -> None:
    name = "quick_start/yolov8n_shapes.yaml"
    with pytest.raises(ValueError, match="TEST.AUG.ENABLED"):
        train_net.main(arguments(name, shapes, tmp_path, "TEST.AUG.ENABLED", "True"))
    evaluation = arguments(name, shapes, tmp_path, "--eval-only", "DATASETS.TEST", "()")
    with pytest.raises(ValueError, match="DATASETS.TEST is empty"):
        train_net.main(evaluation)
