"""One way from a form of a detector to a program."""

import pytest
import torch

from third_party.deploy import compiled, detector_parts, traced_form
from third_party.quantization.export import simulate

from .detectors import detector


@torch.no_grad()
def test_sizes_stay_free():
    parts = detector_parts(detector("yolo_heads"))
    inputs = parts.example("detector", 48, 16, batch=3)
    outputs, _ = simulate(traced_form(parts, "detector"), inputs)
    for given, wanted in zip(outputs, parts.detector(*inputs), strict=True):
        torch.testing.assert_close(given, wanted, rtol=1e-5, atol=1e-4)
    with pytest.raises(ValueError, match="did you mean 'detector'"):
        traced_form(parts, "detecter")


def test_compiled_forms_are_traced_in_this_way(monkeypatch, tmp_path):
    class Taken(Exception):
        pass

    def package(program, path):
        raise Taken(program)

    monkeypatch.setattr(compiled, "traced_form", lambda parts, form: (parts.name, form))
    monkeypatch.setattr(compiled, "compile_package", package)
    with pytest.raises(Taken, match=r"'GeneralizedRCNN', 'dense'"):
        compiled.compile_form(detector_parts(detector("yolo_heads")), "dense", tmp_path / "a.pt2")
