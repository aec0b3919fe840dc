"""The training commands, from a config file and the command line."""

import json

import pytest
import torch

from datasets.shapes import write_splits
from detectron2.engine import default_argument_parser
from tests.engine.test_default_trainer import shapes_config
from tools import plain_train_net, train_net


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    write_splits(folder, train=12, val=3, size=(96, 72))
    cfg = shapes_config(folder, folder / "unused")
    cfg.SOLVER.MAX_ITER = 3
    path = folder / "config.yaml"
    path.write_text(cfg.dump())
    return path


def _args(config_file, output, *arguments):
    command = ["--config-file", str(config_file), *arguments, "OUTPUT_DIR", str(output)]
    return default_argument_parser().parse_args(command)


@pytest.mark.parametrize("tool", [train_net, plain_train_net])
def test_train_resume_and_evaluate(tool, config_file, tmp_path):
    results = tool.main(_args(config_file, tmp_path))
    results = results if tool is train_net else results["shapes_test_val"]
    assert "AP50" in results["bbox"]
    first = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert first["iteration"] == 2
    tool.main(_args(config_file, tmp_path, "--resume", "SOLVER.MAX_ITER", "5"))
    last = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert last["iteration"] == 4
    records = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert {2, 4} <= {record["iteration"] for record in records if "total_loss" in record}
    arguments = ("--eval-only", "MODEL.WEIGHTS", str(tmp_path / "model_final.pth"))
    assert tool.main(_args(config_file, tmp_path / "evaluation", *arguments))
    assert (tmp_path / "evaluation" / "inference" / "coco_instances_results.json").exists()


def test_unavailable_parts_are_named(config_file, tmp_path):
    with pytest.raises(ValueError, match="TEST.AUG.ENABLED"):
        train_net.main(_args(config_file, tmp_path, "TEST.AUG.ENABLED", "True"))
    with pytest.raises(ValueError, match="DATASETS.TEST is empty"):
        train_net.main(_args(config_file, tmp_path, "--eval-only", "DATASETS.TEST", "()"))
    from detectron2.data import MetadataCatalog

    MetadataCatalog.get("train_net_unknown").evaluator_type = "mystery"
    with pytest.raises(NotImplementedError, match="mystery"):
        train_net.build_evaluator(shapes_config(tmp_path, tmp_path), "train_net_unknown")


def test_expected_results_are_verified(config_file, tmp_path):
    wrong = "[['bbox', 'AP', 99.0, 0.1]]"
    with pytest.raises(SystemExit):
        train_net.main(_args(config_file, tmp_path, "SOLVER.MAX_ITER", "1", "TEST.EXPECTED_RESULTS", wrong))
