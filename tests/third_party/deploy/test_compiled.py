"""Forms compiled ahead of time compute what the model computes."""

import shutil

import pytest
import torch

from third_party.deploy import detector_parts, predict
from third_party.deploy.compiled import CompiledSession, compile_form

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
