"""Quantizations and landmarks that do the same to a tensor keep their names in files."""

import numpy as np
import pytest
import torch
from torch import nn

from third_party.quantization.export import find_runner, landmark, parity, to_onnx, trace
from third_party.quantization.export.nodes import tensor_names

from .models import Wrapped, config, converted, images
from .test_passes import Quantize, X

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


def written(program, folder, target, outputs=("y", "z")):
    path = to_onnx(program, folder / "a.onnx", input_names=["x"], output_names=list(outputs), target=target)
    return path, {name for node in onnx.load(path).graph.node for name in node.output}


def equal_layers():
    """Two layers with the same range of the same tensor."""
    torch.manual_seed(0)
    net = Wrapped(lambda m, x: (m.a(x), m.b(x)), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 4, 1))
    return trace(converted(net, config(), images(), tied=False), (images(),), normalised=False), images(seed=2)


def equal_sources():
    """Two tensors that are computed in the same way."""
    net = Wrapped(lambda m, x: (m.a(x * 2) + 1, m.b(x * 2) - 1), a=Quantize(), b=Quantize())
    return trace(net, (X,)), X


@pytest.mark.parametrize("target", ("generic", "onnxruntime", "openvino"))
@pytest.mark.parametrize("case", (equal_layers, equal_sources))
def test_equal_quantizations(case, target, tmp_path):
    program, x = case()
    names = set(tensor_names(program).values())
    assert len(names) == 2
    path, found = written(program, tmp_path, target)
    assert names <= found
    report = parity(program, path, find_runner("onnxruntime"), [(x,)])
    assert {tensor.name for tensor in report.tensors} == names
    assert [output.largest < 1e-5 for output in report.outputs] == [True, True]


def test_equal_landmarks(tmp_path):
    program = trace(Wrapped(lambda m, x: (landmark(x * 2, "twice") + 1, landmark(x * 2, "twice") - 1)), (X,))
    path, found = written(program, tmp_path, "generic")
    assert {"twice", "twice#2"} <= found
    y, z = find_runner("onnxruntime").load(path).run([X.numpy()])
    np.testing.assert_allclose(y, z + 2, atol=1e-5)
