"""The step that rates a model or a file."""

import json

import pytest

from third_party.post_training.__main__ import main


def rated(prepared, folder, *more, weights=None):
    """The result of the step, as JSON."""
    path = folder / "evaluation.json"
    assert main(prepared.arguments("evaluate", "--json", path, *more, weights=weights)) == 0
    return json.loads(path.read_text())


def test_a_float_model_finds_what_it_found(prepared, tmp_path, capsys):
    found = rated(prepared, tmp_path)
    assert found["evaluation"]["dataset"] == "ptq_own" and found["evaluation"]["images"] == 3
    ap = found["evaluation"]["float"]["bbox"]["AP"]
    assert ap > 20 and found["model"]["trained_quantized"] is None
    out = capsys.readouterr().out
    assert f"{ap:.2f}" in out and "AP50" in out and "triangle" in out


@pytest.mark.parametrize(("engine", "name"), [("onnxruntime", "model_onnxruntime.onnx"), ("torch", "model.pt2")])
def test_a_file_finds_what_its_model_finds(prepared, calibrated, exported, tmp_path, engine, name):
    if engine != "torch":
        pytest.importorskip(engine)
    weights = calibrated / "quantized.pth"
    model = rated(prepared, tmp_path, weights=weights)["evaluation"]["quantized"]["bbox"]
    found = rated(prepared, tmp_path, "--file", exported / name, "--engine", engine, weights=weights)
    (one,) = found["export"]["engines"]
    assert one["engine"] == engine and model["AP"] > 5
    assert one["evaluation"]["quantized"]["bbox"]["AP"] == pytest.approx(model["AP"], abs=2.0)


def test_some_of_the_images(prepared, tmp_path):
    found = rated(prepared, tmp_path, "--max-eval-images", 1, "--eval", "ptq_shapes_val")
    assert found["evaluation"]["images"] == 1 and found["evaluation"]["dataset"] == "ptq_shapes_val"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--file", "{}", "--engine", "onnxruntme"], "engine must be one of onnxruntime, openvino, tensorrt, torch"),
        (["--file", "absent.pt2", "--engine", "inductor"], "engine inductor: no file absent.pt2"),
        (["--file", "{}", "--engine", "torch"], "engine torch does not load"),
        (["--file", "{}"], "--file and --engine go together"),
        (["--max-eval-images", "-1"], "--max-eval-images must be 0 or more"),
        (["--eval", "nothing"], "'nothing' is not registered"),
        (["--weights", "absent.pth"], "absent.pth do not exist"),
        (["--json", "/proc/x/result.json"], "--json /proc/x/result.json cannot be written"),
    ],
)
def test_mistakes(prepared, mistake, tmp_path, more, message):
    (tmp_path / "no_model").write_bytes(b"no model")
    given = [str(tmp_path / "no_model") if word == "{}" else word for word in more]
    assert message in mistake(prepared.arguments("evaluate", *given))


def test_a_file_that_is_no_model(prepared, mistake, tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "no.onnx").write_bytes(b"no model")
    more = ("--file", tmp_path / "no.onnx", "--engine", "onnxruntime")
    assert "engine onnxruntime does not load" in mistake(prepared.arguments("evaluate", *more))
