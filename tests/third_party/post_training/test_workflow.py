"""From weights to files that run, by the command."""

import json
import math

import pytest
import torch
import yaml

from detectron2.modeling import build_model
from third_party.post_training.command import main
from third_party.post_training.models import load_detector, quantization_of
from third_party.quantization.ptq.recipe import PTQRecipe


def _arguments(trained, folder, *more, weights=None):
    file = trained.folder / "config.yaml"
    if not file.exists():
        file.write_text(trained.cfg.dump())
    given = ["--config-file", str(file), "--weights", weights or trained.weights, "--out", str(folder)]
    return [*given, *more]


@pytest.fixture(scope="module")
def quantized(trained, tmp_path_factory):
    """What the command makes of a float checkpoint, without files."""
    folder = tmp_path_factory.mktemp("quantized") / "results"
    more = ("--calib", "ptq_shapes_train", "--no-export", "--sensitivity", "ACTIVATIONS.OBSERVER", "minmax")
    assert main(_arguments(trained, folder, *more)) == 0
    return folder


def test_a_report_and_a_checkpoint(trained, quantized):
    names = {"config.yaml", "quantized.pth", "recipe.yaml", "report.json", "report.html", "pictures"}
    assert {path.name for path in quantized.iterdir()} == names
    report = json.loads((quantized / "report.json").read_text())
    assert report["calibration"] == {"dataset": "ptq_shapes_train", "images": 6}
    assert report["evaluation"]["images"] == 3 and {"float", "quantized", "drop_per_class"} <= set(report["evaluation"])
    assert report["layers"]["totals"]["bytes_quantized"] < 0.35 * report["layers"]["totals"]["bytes_float"]
    assert len(report["sensitivity"]["rows"]) > 20 and report["sensitivity"]["verdict"]
    assert {row["observer"] for row in report["ptq"]["ranges"]} == {"minmax", "known"}
    recipe = PTQRecipe.from_mapping(yaml.safe_load((quantized / "recipe.yaml").read_text()))
    assert recipe.activations.observer == "minmax" and report["ptq"]["recipe"] == recipe.to_mapping()


def test_the_checkpoint_makes_the_quantized_model(trained, quantized):
    model = load_detector(trained.cfg, str(quantized / "quantized.pth"))
    config = quantization_of(model)
    assert config is not None and config.activation.method == "minmax" and config.activation.bits == 8
    float_model = load_detector(trained.cfg, trained.weights)
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 4 - 2
    with torch.no_grad():
        outputs = [m.head(list(m.backbone(images).values()))[0][0] for m in (float_model, model)]
    apart = float((outputs[0] - outputs[1]).norm() / (outputs[0] - outputs[0].mean()).norm())
    assert 0 < apart < 0.2


@pytest.fixture(scope="module")
def exported(trained, quantized, tmp_path_factory):
    """What the command makes of the quantized checkpoint, without calibration data."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("exported") / "results"
    arguments = _arguments(
        trained, folder, "--engines", "onnxruntime", "--no-nms", weights=str(quantized / "quantized.pth")
    )
    assert main(arguments) == 0
    return folder


def test_a_quantized_checkpoint_is_exported_without_calibration_data(exported):
    report = json.loads((exported / "report.json").read_text())
    assert "ptq" not in report and "minmax 8 bits" in report["model"]["trained_quantized"]
    names = {"model.pt2", "model.onnx", "model_onnxruntime.onnx", "model.integer"}
    assert names <= {path.name for path in exported.iterdir()}
    assert {file["file"] for file in report["export"]["files"]} == names
    engine, integers = report["export"]["engines"]
    assert (
        integers["parity"]["passed"]
        and len(integers["parity"]["tensors"]) > 20
        and "Convolution" in integers["program"]
    )
    assert engine["parity"]["passed"] and len(engine["parity"]["tensors"]) > 20
    aps = [one["quantized"]["bbox"]["AP"] for one in (report["evaluation"], engine["evaluation"])]
    assert aps[0] == pytest.approx(aps[1], abs=0.2)
    assert engine["agreement"] is None or engine["agreement"] > 90


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "--calib: weights in floating point need a data set"),
        (["--calib", "ptq_shapes_trian"], "'ptq_shapes_trian' is not registered"),
        (["--calib", "ptq_shapes_train", "ACTIVATIONS.OBSERVR", "mse"], "ACTIVATIONS.OBSERVR: no such setting"),
        (["--calib", "ptq_shapes_train", "IMAGES"], "'IMAGES' has no value"),
        (["--calib", "ptq_shapes_train", "--engines", "onnxruntme,openvino"], "engine must be one of"),
        (["--calib", "ptq_shapes_train", "--recipe", "absent.yaml"], "absent.yaml"),
        (["--calib", "ptq_shapes_train", "IMAGES", "7"], "7 images to calibrate on"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(trained, tmp_path, capsys, more, message):
    assert main(_arguments(trained, tmp_path / "results", *more, "--no-eval")) == 1
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and list(tmp_path.iterdir()) == []


def test_an_engine_that_is_missing(trained, tmp_path, capsys, monkeypatch):
    from third_party.quantization.export import RUNNERS

    monkeypatch.setattr(type(RUNNERS["openvino"]), "module", "no_such_module")
    more = ("--calib", "ptq_shapes_train", "--engines", "openvino", "--no-eval")
    assert main(_arguments(trained, tmp_path / "results", *more)) == 1
    assert "engine openvino needs the package openvino: pip install openvino" in capsys.readouterr().err


def test_nan_in_the_activations(trained, tmp_path, capsys):
    model = build_model(trained.cfg)
    weights = torch.load(trained.weights, weights_only=True)
    assert set(weights["model"]) <= set(model.state_dict())
    weights["model"]["backbone.fpn_lateral3.bias"][0] = math.nan
    torch.save(weights, tmp_path / "nan.pth")
    more = ("--calib", "ptq_shapes_train", "--no-eval", "--no-export")
    assert main(_arguments(trained, tmp_path / "results", *more, weights=str(tmp_path / "nan.pth"))) == 1
    assert "NaN or infinite in calibration batch 1" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["nan.pth"]
