"""Files of whole detectors give the detections of the model, at other batches and sizes than they were traced with."""

import pytest
import torch

from third_party.deploy import detector_parts, predict
from third_party.quantization.export import find_runner, to_onnx, trace

from .detectors import detector, pictures
from .test_parts import check_same

pytest.importorskip("onnxscript", reason="needs onnx and onnxscript")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")


EXPORTED = [
    ("retinanet", "suppressed"),
    ("mask_rcnn", "suppressed"),
    ("fcos", "detector"),
    ("yolo_heads", "suppressed"),
]


@pytest.fixture(scope="module", params=EXPORTED)
def exported(request, tmp_path_factory):
    name, form = request.param
    model = detector(name)
    parts = detector_parts(model)
    program = trace(parts.form(form), parts.example(form), parts.dynamic_shapes(form))
    path = tmp_path_factory.mktemp("deploy") / f"{name}.onnx"
    to_onnx(program, path, input_names=parts.input_names, output_names=parts.output_names(form))
    return model, parts, path


@pytest.mark.parametrize("images", [1, 2, 3])
@torch.no_grad()
def test_the_file_detects_as_the_model(exported, images):
    model, parts, path = exported
    inputs = (pictures() * 2)[:images]
    session = find_runner("onnxruntime").load(path, threads=1)
    check_same(model(inputs), predict(session, parts, inputs), masks=True)


def test_operators_are_standard(exported):
    import onnx

    file = onnx.load(exported[2])
    assert {node.domain for node in file.graph.node} == {""}
    kinds = {node.op_type for node in file.graph.node}
    assert ("NonMaxSuppression" in kinds) == (len(file.graph.output) > 2)
    assert ("RoiAlign" in kinds) == (len(file.graph.input) > 1)
