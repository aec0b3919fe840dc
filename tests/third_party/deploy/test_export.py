"""Files of whole detectors give the detections of the model, at other batches and sizes than they were traced with."""

import pytest
import torch

from third_party.deploy import predict
from third_party.quantization.export import find_runner

from .detectors import pictures
from .files import exported
from .test_parts import check_same

pytest.importorskip("onnxscript", reason="needs onnx and onnxscript")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")


EXPORTED = [
    ("retinanet", "suppressed"),
    ("mask_rcnn", "suppressed"),
    ("fcos", "detector"),
    ("yolo_heads", "suppressed"),
]


@pytest.fixture(params=EXPORTED)
def detector_file(request):
    return exported(*request.param)


@pytest.mark.parametrize("images", [1, 2, 3])
@torch.no_grad()
def test_the_file_detects_as_the_model(detector_file, images):
    model, parts, path = detector_file
    inputs = (pictures() * 2)[:images]
    session = find_runner("onnxruntime").load(path, threads=1)
    check_same(model(inputs), predict(session, parts, inputs), masks=True)


def test_operators_are_standard(detector_file):
    import onnx

    file = onnx.load(detector_file[2])
    assert {node.domain for node in file.graph.node} == {""}
    kinds = {node.op_type for node in file.graph.node}
    assert ("NonMaxSuppression" in kinds) == (len(file.graph.output) > 2)
    assert ("RoiAlign" in kinds) == (len(file.graph.input) > 1)
