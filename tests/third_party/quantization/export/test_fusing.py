"""What stands between a convolution and its rounding goes out of the way of engines."""

import collections

import numpy as np
import pytest
import torch
from torch import nn

from third_party.quantization.export import find_runner, simulate, to_onnx, trace

from ..transform.models import Add
from .models import SIZES, config, converted, images, needs_onnx

pytestmark = needs_onnx


class Levels(nn.Module):
    """A skip connection, and a convolution that two levels share, each with a norm of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch, self.add = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), Add()
        self.shared = nn.Conv2d(8, 8, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(2))
        self.last = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        x = self.stem(x).relu()
        x = self.add(x, self.branch(x)).relu()
        maps = (x, nn.functional.max_pool2d(x, 2))
        return tuple(self.last(norm(self.shared(y)).relu()) for norm, y in zip(self.norms, maps, strict=True))


@pytest.fixture(scope="module")
def program():
    torch.manual_seed(0)
    return trace(converted(Levels(), config(nonlinear=None), images(4)), (images(),), SIZES)


@pytest.fixture(scope="module")
def files(program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return {
        target: to_onnx(program, folder / f"{target}.onnx", input_names=["x"], output_names=["a", "b"], target=target)
        for target in ("onnxruntime", "openvino")
    }


@pytest.mark.parametrize("engine", ("onnxruntime", "openvino"))
def test_norms_of_levels_are_in_the_scales_of_one_weight(engine, files, program):
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(files[engine]).graph
    assert not [
        node for node in graph.node if node.op_type in ("BatchNormalization", "Mul", "Add") and "shared" in node.name
    ]
    assert not [node for node in graph.node if node.op_type == "BatchNormalization"]
    made = {node.output[0]: node for node in graph.node}
    convolutions = [node for node in graph.node if node.op_type == "Conv" and "shared" in node.name]
    weights = [made[node.input[1]] for node in convolutions]
    assert len(convolutions) == 2 and weights[0].input[1] != weights[1].input[1]
    stored = collections.Counter(tuple(t.dims) for t in graph.initializer if list(t.dims) == [8, 8, 3, 3])
    assert stored[(8, 8, 3, 3)] <= 3  # the branch's, and the shared one's, again where levels turn channels over
    pytest.importorskip(engine)
    x = images(1, 16, 24, seed=3)
    expected, _ = simulate(program, (x,))
    given = find_runner(engine).load(files[engine], threads=1).run([x.numpy()])
    for ours, theirs in zip(expected, given, strict=True):
        assert np.abs(ours.numpy() - theirs).max() < 0.05 * float(ours.abs().max())
        assert np.abs(ours.numpy() - theirs).mean() < 1e-3 * float(ours.abs().max())


def test_onnx_runtime_adds_and_convolves_with_integers_in_front_of_relus(files, tmp_path):
    ort, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "o.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(files["onnxruntime"], options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "o.onnx").graph.node]
    assert "Relu" not in kinds and "QLinearAdd" in kinds
    # The last ones give outputs in float.
    assert kinds.count("QLinearConv") == 4 and kinds.count("Conv") + kinds.count("FusedConv") == 2


class Dense(nn.Module):
    """A head that two levels share, whose map of predictions becomes rows."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, 2, 1)
        self.tower, self.last = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 6, 1)

    def forward(self, x):
        fine = self.stem(x).relu()
        maps = [self.last(self.tower(y).relu()) for y in (fine, self.down(fine).relu())]
        return tuple(y.view(y.shape[0], 2, 3, *y.shape[2:]).permute(0, 3, 4, 1, 2).flatten(1, 3) for y in maps)


@pytest.mark.parametrize("symmetric", (False, True))
def test_openvino_fuses_biases_that_levels_share(symmetric, tmp_path):
    """In symmetric networks it left out the first layer's bias, with rows of the batch's and the map's own size."""
    pytest.importorskip("openvino")
    torch.manual_seed(0)
    net = converted(Dense(), config(symmetric=symmetric, nonlinear=None), images(4))
    program = trace(net, (images(),), SIZES)
    path = to_onnx(program, tmp_path / "a.onnx", input_names=["x"], output_names=["a", "b"], target="openvino")
    session = find_runner("openvino").load(path, threads=1)
    x = images(3, 40, 48, seed=4)
    for given, expected in zip(session.run([x.numpy()]), simulate(program, (x,))[0], strict=True):
        wanted = expected.numpy()
        assert np.square(given - wanted).mean() < 1e-4 * np.square(wanted).mean()
    layers = [layer.get_rt_info() for layer in session.compiled.get_runtime_model().get_ordered_ops()]
    kinds = collections.Counter(info["layerType"].astype(str) for info in layers)
    assert (kinds["Convolution"], kinds["FakeQuantize"], kinds["Eltwise"]) == (6, 1, 0)
    integer = [
        info["outputPrecisions"].astype(str) for info in layers if info["layerType"].astype(str) == "Convolution"
    ]
    assert sorted(integer) == ["f32"] * 2 + ["u8"] * 4
