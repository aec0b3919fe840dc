"""What stands in a file."""

import collections

import numpy as np
import pytest
import torch
from torch import nn

from third_party.quantization.export import TARGETS, to_onnx, trace

from .models import SIZES, Everything, Wrapped, everything_file, everything_traced, images

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")


def load(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model


def arrays(model):
    return {tensor.name: tensor for tensor in model.graph.initializer}


def makers(model):
    return {name: node for node in model.graph.node for name in node.output}


def data_type(tensor):
    return onnx.TensorProto.DataType.Name(tensor.data_type)


@pytest.mark.parametrize("target", ("generic", "onnxruntime", "openvino"))
def test_opset_sizes_and_one_pair_a_tensor(target):
    model = load(everything_file(target))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 21)]
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    assert [bool(size.dim_param) for size in sizes] == [True, False, True, True]
    names = {node.name for node in model.graph.node}
    assert len(names) == len(model.graph.node) and "stem/Conv" in names
    assert "/work" not in model.SerializeToString().decode("latin1") and 'File "' not in str(model)
    quantized = [node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert max(collections.Counter(quantized).values()) == 1
    assert not set(quantized) & set(arrays(model)), "weights are integers in the file"


@pytest.mark.parametrize("target", ("generic", "onnxruntime", "openvino"))
def test_convolutions_read_integers(target):
    model = load(everything_file(target))
    tensors, made = arrays(model), makers(model)
    convolutions = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert len(convolutions) == 7
    for node in convolutions:
        weight = made[node.input[1]]
        assert weight.op_type == "DequantizeLinear"
        assert data_type(tensors[weight.input[0]]) == "INT8"
        assert (onnx.numpy_helper.to_array(tensors[weight.input[1]]) > 0).all()
        x = made[node.input[0]]
        moved = {"Concat", "MaxPool", "Resize"} if target != "onnxruntime" else set()
        while x.op_type in moved:
            x = made[x.input[0]]
        assert x.op_type == "DequantizeLinear"
        types = {data_type(tensors[x.input[2]])}
        assert types == ({"UINT16"} if node.name.startswith("head") else {"UINT8"})


def test_four_bits_are_packed_and_widened_for_engines():
    for target, cast in (("generic", False), ("openvino", True)):
        model = load(everything_file(target, 4, 8))
        tensors, made = arrays(model), makers(model)
        codes = [tensor for tensor in tensors.values() if tensor.name.endswith("weight.codes")]
        assert {data_type(tensor) for tensor in codes} == {"INT4"}
        for tensor in codes:
            assert len(tensor.raw_data) == (int(np.prod(tensor.dims)) + 1) // 2
        reads = {makers(model)[node.input[1]].input[0] for node in model.graph.node if node.op_type == "Conv"}
        assert all((name in made) == cast for name in reads)


@pytest.mark.parametrize("target, types", [("generic", {"UINT4"}), ("openvino", {"UINT8"}), ("onnxruntime", {"UINT8"})])
def test_four_bit_activations(target, types):
    model = load(everything_file(target, 7, 4))
    tensors = arrays(model)
    quantized = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    of_sigmoids = [node for node in quantized if "sigmoid" in node.output[0]]
    assert len(of_sigmoids) == 2
    kinds = {data_type(tensors[node.input[2]]) for node in quantized if node not in of_sigmoids}
    assert kinds == types
    clips = [node for node in model.graph.node if node.op_type == "Clip"]
    assert bool(clips) == (target != "generic")
    for node in clips:
        behind = makers(model).get(node.input[0])
        assert (behind is not None and behind.op_type == "QuantizeLinear") == (target == "onnxruntime")


def test_onnx_runtime_finds_pairs_behind_every_step_that_moves_values():
    model = load(everything_file("onnxruntime"))
    readers = collections.defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node.op_type)
    moves = [
        node
        for node in model.graph.node
        if node.op_type in ("Concat", "MaxPool", "Resize") and "images" not in node.name
    ]
    moves = [node for node in moves if not node.output[0].startswith("val")]
    assert {node.op_type for node in moves} == {"Concat", "MaxPool", "Resize"}
    assert all(readers[node.output[0]] == ["QuantizeLinear"] for node in moves)
    assert "Concat" in {node.op_type for node in load(everything_file("openvino")).graph.node}


def test_symmetric_activations_for_tensorrt():
    model = load(everything_file("tensorrt", 7, 7, True))
    tensors = arrays(model)
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            zero = onnx.numpy_helper.to_array(tensors[node.input[2]])
            assert data_type(tensors[node.input[2]]) == "INT8" and zero == 0


def test_tensorrt_refuses_zero_points_and_names_them():
    with pytest.raises(ValueError, match="stem.input_quantizer.*symmetric"):
        everything_file("tensorrt")


def test_float_models(tmp_path):
    ort = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    net = Everything().eval()
    path = to_onnx(trace(net, (images(),), SIZES), tmp_path / "f.onnx", input_names=["x"], output_names=["y", "z"])
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in load(path).graph.node}
    x = images(1, 12, 20)
    with torch.no_grad():
        expected = net(x)
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    for value, given in zip(expected, session.run(None, {"x": x.numpy()}), strict=True):
        np.testing.assert_allclose(given, value.numpy(), rtol=1e-3, atol=1e-4)


def test_mistakes(tmp_path):
    program = everything_traced()
    given = {"input_names": ["x"], "output_names": ["y", "z"]}
    with pytest.raises(ValueError, match="target must be one of .*got 'onnx'"):
        to_onnx(program, tmp_path / "a.onnx", **given, target="onnx")
    with pytest.raises(ValueError, match="opset must be at least 21, got 17"):
        to_onnx(program, tmp_path / "a.onnx", **given, opset=17)
    with pytest.raises(ValueError, match="1 output_names"):
        to_onnx(program, tmp_path / "a.onnx", input_names=["x"], output_names=["y"])
    assert not list(tmp_path.iterdir()) and set(TARGETS) >= {"generic"}


def test_an_operator_without_translation_is_named(tmp_path):
    inner = Wrapped(lambda self, x: torch.special.bessel_j0(x))
    program = trace(Wrapped(lambda self, x: self.inner(x) + 1, inner=inner), (torch.rand(4),))
    with pytest.raises(ValueError, match="inner: operator aten.special_bessel_j0.default has no translation"):
        to_onnx(program, tmp_path / "a.onnx", input_names=["x"], output_names=["y"])
    assert not list(tmp_path.iterdir())


def test_linear_layers_are_stored_as_they_are_read(tmp_path):
    from .models import config, converted

    torch.manual_seed(0)
    x = torch.randn(5, 6)
    net = converted(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), config(), x)
    path = to_onnx(trace(net, (x,)), tmp_path / "a.onnx", input_names=["x"], output_names=["y"], target="onnxruntime")
    model = load(path)
    assert "Transpose" not in {node.op_type for node in model.graph.node}
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {"x": x.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(given, net(x).numpy(), atol=0.02)
