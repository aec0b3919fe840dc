"""A dense detector's file for no engine in particular runs on every installed engine."""

import pytest
import torch
from torch import nn

from third_party.convert_to_quantization import quantize_model
from third_party.deploy import detector_parts, pixel_batch, traced_form
from third_party.quantization.export import find_runner, parity, to_onnx
from third_party.quantization.ptq.pipeline import post_training_quantize
from third_party.quantization.ptq.recipe import PTQRecipe

from .detectors import WIDTH, detector, pictures

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript", reason="needs onnx and onnxscript")

RECIPE = {
    "ACTIVATIONS": {"OBSERVER": "minmax", "SYMMETRIC": True},
    "STEPS": {"MIGRATE": False, "BIAS_CORRECTION": False},
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A RetinaNet whose levels have values of both signs, the coarser pooled from the finer: program, file, inputs."""
    model = detector("retinanet")
    model.backbone.stem = model.backbone.stem[:3]
    model.backbone.down = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(WIDTH, WIDTH, 1)).eval()
    post_training_quantize(model, PTQRecipe.from_mapping(RECIPE), [pictures()], prepare_model=quantize_model)
    parts = detector_parts(model)
    program = traced_form(parts, "dense")
    names = [f"output_{i}" for i in range(len(program.graph_signature.user_outputs))]
    path = tmp_path_factory.mktemp("generic") / "model.onnx"
    to_onnx(program, path, input_names=["pixels"], output_names=names, target="generic")
    return program, path, pixel_batch(parts, pictures())[:1]


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@torch.no_grad()
def test_it_computes_what_the_model_does(exported, engine):
    pytest.importorskip(engine)
    program, path, inputs = exported
    file = onnx.load(path)
    made = {name: node for node in file.graph.node for name in node.output}
    (pooling,) = (node for node in file.graph.node if node.op_type == "MaxPool")
    points = {tensor.name: tensor.data_type for tensor in file.graph.initializer}
    assert points[made[pooling.input[0]].input[2]] == onnx.TensorProto.INT8
    report = parity(program, path, find_runner(engine), [inputs])
    assert report.tensors and not any(tensor.chosen for tensor in report.tensors)
