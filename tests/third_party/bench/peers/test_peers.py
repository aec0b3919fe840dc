"""The side by side with other quantizers: which nodes stay float, that the whole file computes, who takes turns."""

import numpy as np
import pytest

from third_party.bench.peers import __main__ as command
from third_party.bench.peers.candidate import Candidate, table
from third_party.bench.peers.onnxruntime_static import SETTINGS, _append, _cut, nodes_outside, static_files

onnx = pytest.importorskip("onnx", reason="the extra 'export' is not installed")


def _model():
    """Scaled pixels -> convolution, whose output is an output too -> a tail with a constant of its own."""
    make = onnx.helper
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    constants = {"scale": np.array(1 / 255, np.float32), "weight": weight, "shift": np.array(np.inf, np.float32)}
    nodes = [
        make.make_node("Mul", ["pixels", "scale"], ["x"]),
        make.make_node("Conv", ["x", "weight"], ["raw"], pads=[1, 1, 1, 1]),
        make.make_node("Sigmoid", ["raw"], ["scores"]),
        make.make_node("Min", ["scores", "shift"], ["found"]),
    ]
    image = make.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, [1, 3, 8, 8])
    outputs = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4, 8, 8]) for name in ("found", "raw")]
    stored = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = make.make_graph(nodes, "net", [image], outputs, stored)
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 21)], ir_version=10)


def test_what_works_for_no_convolution_is_the_tail():
    graph = _model().graph
    tail = nodes_outside(graph)
    assert [node.op_type for node in tail] == ["Sigmoid", "Min"]
    assert _cut(graph, tail) == ["raw"]


def test_tail_comes_back_with_its_constants_and_the_outputs_in_order():
    whole = _model()
    tail = nodes_outside(whole.graph)
    network = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(whole)).extract_model(["pixels"], ["raw"])
    assert {constant.name for constant in network.graph.initializer} == {"scale", "weight"}
    _append(network, whole.graph, tail)
    assert [output.name for output in network.graph.output] == ["found", "raw"]
    assert sorted(constant.name for constant in network.graph.initializer) == ["scale", "shift", "weight"]
    onnx.checker.check_model(network)


def test_files_of_quantize_static_compute_about_what_the_float_file_computes(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    monkeypatch.setattr("third_party.bench.peers.onnxruntime_static.SETTINGS", {"MinMax": SETTINGS["MinMax"]})
    source = tmp_path / "float.onnx"
    onnx.save(_model(), source)
    images = [np.random.default_rng(i).uniform(0, 255, (1, 3, 8, 8)).astype(np.float32) for i in range(3)]
    (made,) = static_files(source, images, tmp_path)
    kinds = [node.op_type for node in onnx.load(made.path).graph.node]
    assert kinds.index("Conv") < kinds.index("Sigmoid") == len(kinds) - 2 and "DequantizeLinear" in kinds
    want, got = (one.load(1).run([images[0]]) for one in (Candidate("float", "", "onnxruntime", source), made))
    error = np.abs(want[1] - got[1]).max()
    assert 0 < error < 0.05 * np.abs(want[1]).max()
    np.testing.assert_allclose(got[0], 1 / (1 + np.exp(-got[1])), rtol=1e-5)


def test_candidates_take_turns(monkeypatch):
    order: list[str] = []

    class Session:
        def __init__(self, name):
            self.name = name

        def run(self, inputs):
            order.append(self.name)

    monkeypatch.setattr(Candidate, "load", lambda self, threads: Session(self.maker))
    both = [Candidate(name, "", "onnxruntime", None) for name in ("a", "b")]
    command._time(both, np.zeros(1), repeat=3, warm_up=1)
    assert order == ["a", "b"] * 4
    assert all(one.milliseconds is not None for one in both)


def test_quantizer_that_is_missing_has_no_rows(caplog):
    assert not list(command._installed("no_such_package", [Candidate("x", "", "openvino", None)]))
    assert "pip install no_such_package" in caplog.text


def test_weights_beside_a_file_count(tmp_path):
    path = tmp_path / "model.xml"
    path.write_bytes(bytes(2**20))
    path.with_suffix(".bin").write_bytes(bytes(2**21))
    one = Candidate("NNCF", "mixed", "openvino", path, ap=12.3)
    assert one.mebibytes == 3
    assert "12.30" in table([one]) and "3.00" in table([one])
