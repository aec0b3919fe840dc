"""Files for OpenVINO of detectors with symmetric activations compute what the model computes."""

import pytest
import torch

from third_party.convert_to_quantization import quantize_model
from third_party.deploy import detector_parts, pixel_batch, traced_form
from third_party.quantization.export import find_runner, parity, to_onnx
from third_party.quantization.ptq.pipeline import post_training_quantize
from third_party.quantization.ptq.recipe import PTQRecipe

from .detectors import detector, pictures

pytest.importorskip("onnxscript", reason="needs onnx and onnxscript")
pytest.importorskip("openvino", reason="needs openvino")

RECIPE = {
    "ACTIVATIONS": {"OBSERVER": "minmax", "SYMMETRIC": True},
    "STEPS": {"MIGRATE": False, "BIAS_CORRECTION": False},
}


@torch.no_grad()
def test_the_gate_lets_a_symmetric_detector_pass(tmp_path):
    model = detector("retinanet")
    post_training_quantize(model, PTQRecipe.from_mapping(RECIPE), [pictures()], prepare_model=quantize_model)
    parts = detector_parts(model)
    pixels, _ = pixel_batch(parts, pictures())
    for form in ("detector", "suppressed"):
        program = traced_form(parts, form)
        path = tmp_path / f"{form}.onnx"
        to_onnx(program, path, input_names=["pixels"], output_names=parts.output_names(form), target="openvino")
        report = parity(program, path, find_runner("openvino"), [(pixels,)])
        judged = [item for item in (*report.landmarks, *report.outputs) if not item.chosen]
        assert judged and max(item.largest for item in judged) < 1e-3
