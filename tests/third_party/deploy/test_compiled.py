"""Forms compiled ahead of time compute what the model computes."""

import shutil

import pytest
import torch

from third_party.convert_to_quantization import quantize_model
from third_party.deploy import TorchSession, compiled, detector_parts, predict
from third_party.deploy.compiled import CompiledSession, CompileError, compile_form
from third_party.quantization.ptq.pipeline import post_training_quantize
from third_party.quantization.ptq.recipe import PTQRecipe

from .detectors import detector, pictures
from .test_parts import check_same

compiler = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="needs a C++ compiler")


@compiler
@torch.no_grad()
def test_the_compiled_detector_detects_as_the_model(tmp_path):
    model, path = detector("yolo_heads"), tmp_path / "model.aoti.pt2"
    parts = detector_parts(model)
    assert compile_form(parts, "detector", path) < 1e-4
    inputs = pictures()
    check_same(model(inputs), predict(CompiledSession(path), parts, inputs), masks=False)


@pytest.mark.parametrize(
    ("form", "name", "message"), [("suppressed", "a.pt2", "dense, detector"), ("dense", "a.so", r"\.pt2")]
)
def test_mistakes_are_told_before_compiling(tmp_path, form, name, message):
    with pytest.raises(ValueError, match=message):
        compile_form(detector_parts(detector("yolo_heads")), form, tmp_path / name)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="no compiled detector"):
        CompiledSession(tmp_path / "absent.pt2")


@torch.no_grad()
def test_quantized_tensors_may_move_by_a_level(tmp_path, monkeypatch):
    models = {name: detector("yolo_heads") for name in ("float", "quantized")}
    steps = {"MIGRATE": False, "BIAS_CORRECTION": False}
    post_training_quantize(
        models["quantized"], PTQRecipe.from_mapping({"STEPS": steps}), [pictures()], prepare_model=quantize_model
    )
    monkeypatch.setattr(compiled, "compile_package", lambda program, path: None)
    for name, model in models.items():
        parts = detector_parts(model)

        class Off(TorchSession):
            def run(self, inputs):
                return [1.01 * output for output in super().run(inputs)]

        monkeypatch.setattr(compiled, "CompiledSession", lambda path, parts=parts: Off(parts, "detector"))
        if name == "quantized":
            assert compile_form(parts, "detector", tmp_path / "a.pt2") == pytest.approx(0.01, rel=0.01)
        else:
            with pytest.raises(CompileError, match=r"differs from GeneralizedRCNN by 0\.01 .*; 0\.001 may be"):
                compile_form(parts, "detector", tmp_path / "a.pt2")
