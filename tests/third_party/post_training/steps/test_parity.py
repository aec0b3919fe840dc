"""The step that holds a file against its model."""

import json
import shutil

import numpy as np
import pytest

from third_party.post_training.__main__ import main

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def check(prepared, calibrated, exported):
    """Arguments of the step for a file of the quantized detector."""

    def arguments(file="model_onnxruntime.onnx", *more, weights=None):
        given = ("--engine", "onnxruntime", "--file", exported / file, *more)
        return prepared.arguments("parity", *given, weights=weights or calibrated / "quantized.pth")

    return arguments


def test_a_file_keeps_to_its_model(check, tmp_path, capsys):
    assert main(check("model_onnxruntime.onnx", "--eval", "ptq_own", "--json", tmp_path / "a.json")) == 0
    (engine,) = json.loads((tmp_path / "a.json").read_text())["export"]["engines"]
    assert engine["engine"] == "onnxruntime" and engine["file"] == "model_onnxruntime.onnx"
    assert engine["parity"]["passed"] and engine["parity"]["batches"] == 3 and len(engine["parity"]["tensors"]) > 20
    out = capsys.readouterr().out
    assert f"{len(engine['parity']['tensors'])} quantized tensors" in out and "predictions.scores.0" in out


def test_the_tensor_that_is_off_is_named(check, exported, tmp_path, mistake):
    model = onnx.load(exported / "model_onnxruntime.onnx")
    scale = next(t for t in model.graph.initializer if t.name.endswith("res3.0.conv2.input_quantizer.scale"))
    small = onnx.numpy_helper.to_array(scale) * np.float32(0.25)
    scale.CopyFrom(onnx.numpy_helper.from_array(small.astype(np.float32), scale.name))
    onnx.save(model, tmp_path / "broken.onnx")
    message = mistake(check(tmp_path / "broken.onnx", "--json", tmp_path / "a.json"))
    name = scale.name.removesuffix(".scale")
    assert f"onnxruntime leaves the tolerance at {name}: " in message
    (engine,) = json.loads((tmp_path / "a.json").read_text())["export"]["engines"]
    assert not engine["parity"]["passed"] and engine["parity"]["first_failure"].startswith(name)


def test_mistakes(check, prepared, exported, tmp_path, mistake):
    shutil.copy(exported / "model.pt2", tmp_path / "no.onnx")
    assert "no.onnx is no ONNX file" in mistake(check(tmp_path / "no.onnx"))
    assert "no file" in mistake(check("absent.onnx"))
    assert "engine must be one of" in mistake(check("model_onnxruntime.onnx", "--engine", "onx"))
    graph = onnx.helper.make_graph([], "empty", [], [onnx.helper.make_tensor_value_info("y", 1, [1])])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "other.onnx")
    assert "has the outputs y, which are not those of RetinaNet" in mistake(check(tmp_path / "other.onnx"))
