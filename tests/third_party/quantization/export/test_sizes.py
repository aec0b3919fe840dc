"""Who asks for the size of a tensor that is quantized: the file takes it from the codes, and the linter knows."""

import pytest
import torch
import torch.nn.functional as F

from third_party.quantization.export import lint, to_onnx, trace
from third_party.quantization.functional.dequantize import dequantize

from .models import Wrapped, needs_onnx
from .test_lint import Conv, X
from .test_passes import Quantize

HEIGHT, WIDTH = (torch.export.Dim(name, min=2) for name in ("height", "width"))
DYNAMIC = (({2: 2 * HEIGHT, 3: 2 * WIDTH},),)  # as detectors have it: multiples of their stride


class Strided(Conv):
    def forward(self, x):
        return F.conv2d(x, dequantize(self.codes, self.scale, self.zero, 0), stride=2)


def program_of(between, quantize):
    """A map gives the size to which another is resized, and is quantized."""

    def function(m, x):
        y = between(m.a(m.p(x)))
        return m.b(m.q(y)), F.interpolate(x, size=y.shape[-2:])

    modules = {"p": Quantize(), "a": Strided(), "q": quantize, "b": Conv()}
    return trace(Wrapped(function, **modules), (X,), DYNAMIC)


def float_outputs(program):
    return [finding.message for finding in lint(program, "onnxruntime") if finding.rule == "float_output"]


CASES = {"as it is": lambda y: y, "behind a ReLU": torch.relu}


@pytest.mark.parametrize("case", CASES)
def test_a_size_alone_keeps_nothing_in_float(case):
    program = program_of(CASES[case], Quantize())
    (layer,) = {node.args[0] for node in program.graph.nodes if node.target is torch.ops.aten.sym_size.int}
    assert layer.target is torch.ops.aten.conv2d.default  # the layer itself is asked
    assert float_outputs(program) == []


def test_a_size_of_what_stays_in_float_is_a_reader():
    for between, quantize in ((F.silu, Quantize()), (CASES["as it is"], Quantize(0.001, low=-(2**15), high=2**15 - 1))):
        assert len(float_outputs(program_of(between, quantize))) == 1


@needs_onnx
@pytest.mark.parametrize("case", CASES)
def test_the_file_has_the_layer_in_integers(case, tmp_path):
    ort, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    program = program_of(CASES[case], Quantize())
    path = to_onnx(program, tmp_path / "a.onnx", input_names=["x"], output_names=["a", "b"], target="onnxruntime")
    options = ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "o.onnx"), 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "o.onnx").graph.node]
    assert kinds.count("QLinearConv") == 1 and "Relu" not in kinds
    for ours, theirs in zip(program.module()(X), session.run(None, {"x": X.numpy()}), strict=True):
        torch.testing.assert_close(torch.from_numpy(theirs), ours, atol=0.05, rtol=0)
