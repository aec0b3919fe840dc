"""The step that finds ranges."""

import json

import pytest
import yaml

from detectron2.projects import read_config
from third_party.post_training.__main__ import main
from third_party.post_training.models import load_detector, quantization_of
from third_party.quantization.ptq.recipe import PTQRecipe


def test_a_checkpoint_and_its_record(prepared, calibrated):
    names = {"quantized.pth", "config.yaml", "recipe.yaml", "calibration.json"}
    assert {path.name for path in calibrated.iterdir()} == names
    found = json.loads((calibrated / "calibration.json").read_text())
    assert found["calibration"] == {"dataset": "ptq_shapes_train", "images": 6}
    assert {row["observer"] for row in found["ptq"]["ranges"]} == {"minmax", "known"} and found["model"]["weights"]
    recipe = PTQRecipe.from_mapping(yaml.safe_load((calibrated / "recipe.yaml").read_text()))
    assert recipe.to_mapping() == found["ptq"]["recipe"] and not recipe.steps.migrate
    model = load_detector(read_config(str(calibrated / "config.yaml")), str(calibrated / "quantized.pth"))
    row = next(row for row in found["ptq"]["ranges"] if row["observer"] == "minmax")
    levels = dict(model.named_modules())[row["name"]].input_quantizer.grid().levels()
    assert quantization_of(model) is not None and float(levels.max()) == pytest.approx(row["top"], rel=0.02)


def test_tuning_is_a_setting(prepared, tmp_path):
    more = ["WEIGHTS.BITS", "4", "ACTIVATIONS.BITS", "4", "TUNING.ITERATIONS", "2", "TUNING.IMAGES", "3"]
    given = prepared.arguments("calibrate", "--calib", "ptq_shapes_train", "--out", tmp_path / "results", *more)
    assert main(given) == 0
    found = json.loads((tmp_path / "results" / "calibration.json").read_text())
    row = next(step for step in found["ptq"]["steps"] if step["step"] == "tune")
    assert row["iterations"] == 2 and len(row["error"]) == len(row["lesson"]) == 2 and row["layers"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--calib", "ptq_shapes_trian"], "'ptq_shapes_trian' is not registered. Did you mean ptq_shapes_train"),
        (["--calib", "absent.json"], "give the folder of its images"),
        (["--calib", "ptq_shapes_train", "ACTIVATIONS.OBSERVR", "mse"], "ACTIVATIONS.OBSERVR: no such setting"),
        (["--calib", "ptq_shapes_train", "IMAGES", "7"], "7 images to calibrate on"),
        (["--calib", "ptq_shapes_train", "--weights", "absent.pth"], "absent.pth do not exist"),
        (["--calib", "ptq_shapes_train", "--config-file", "absent.yaml"], "absent.yaml"),
        (["--calib", "ptq_shapes_train", "--cfg", "MODEL.RETINANET.NUM_CLASSES", "7"], "weights of another model"),
    ],
)
def test_mistakes(prepared, mistake, tmp_path, more, message):
    assert message in mistake(prepared.arguments("calibrate", "--out", tmp_path / "results", *more))
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_quantized(prepared, calibrated, mistake, tmp_path):
    arguments = prepared.arguments("calibrate", "--calib", "ptq_shapes_train", "--out", tmp_path / "results")
    message = mistake([*arguments, "--weights", str(calibrated / "quantized.pth")])
    assert "one in floating point is wanted, this model has weights minmax 8 bits" in message
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(prepared, mistake, tmp_path):
    (tmp_path / "file").write_text("mine")
    given = prepared.arguments("calibrate", "--calib", "ptq_shapes_train", "--out")
    assert "is a file" in mistake([*given, str(tmp_path / "file")])
    assert "cannot be written" in mistake([*given, "/proc/results"])
    assert (tmp_path / "file").read_text() == "mine"
