"""Files for no engine in particular load and run on every installed one, as its optimizer leaves them."""

import numpy as np
import pytest
import torch
from torch import nn

from third_party.quantization import QuantConfig, convert, prepare
from third_party.quantization.export import find_runner, simulate, to_onnx, trace
from third_party.quantization.spec import MinMaxSpec, Rule

from .models import needs_onnx

pytestmark = needs_onnx

STEPS = {
    "Reshape": lambda x: x.flatten(2),
    "Transpose": lambda x: x.permute(0, 2, 3, 1),
    "Slice": lambda x: x[:, :, 1:3],
    "MaxPool": lambda x: nn.functional.max_pool2d(x, 2),
    "Unsqueeze": lambda x: x.unsqueeze(1),
    "Squeeze": lambda x: x.mean((2, 3), keepdim=True).squeeze((2, 3)),
    "Split": lambda x: x.chunk(2, 1)[1],
    "several": lambda x: x.permute(0, 2, 3, 1).flatten(1, 2).unsqueeze(1),
}


class Quantized(nn.Module):
    """What a quantizer gives goes through steps that choose values, then to an output, a function and the best."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.rounds = nn.Conv2d(3, 4, 1), nn.ModuleDict({name: nn.Conv2d(4, 4, 1) for name in STEPS})

    def forward(self, x):
        outputs = []
        for i, (name, step) in enumerate(STEPS.items()):
            layer = self.rounds[name]
            y = step(layer.input_quantizer(self.first(x) * (1 + i / 8)))
            outputs += [y, y.sigmoid(), y.flatten(1).topk(3, dim=1).values]
        return tuple(outputs)


@pytest.fixture(scope="module")
def program():
    torch.manual_seed(0)
    model = Quantized().eval()
    signed = MinMaxSpec(symmetric=True, signed=True, initial_range="max")
    weight = MinMaxSpec(granularity="channel", initial_range="max")
    prepare(model, QuantConfig(weight=weight, activation=signed, rules=(Rule(name="first", activation={"bits": 16}),)))
    x = images()
    with torch.no_grad():
        model.train()(x)
        for layer in model.rounds.values():
            layer(torch.zeros(1, 4, 1, 1))  # takes a range for its weight
    convert(model.eval())
    return trace(model, (x,), ({0: torch.export.Dim("batch")},))


def images():
    return torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_signed_activations_before_steps_that_choose(program, engine, tmp_path):
    pytest.importorskip(engine)
    onnx = pytest.importorskip("onnx")
    names = [f"{name}.{kind}" for name in STEPS for kind in ("values", "function", "best")]
    path = to_onnx(program, tmp_path / "generic.onnx", input_names=["x"], output_names=names)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    points = [node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert sum(kinds[point] == onnx.TensorProto.INT8 for point in points) >= 2 * (len(STEPS) - 1)
    expected, _ = simulate(program, (images(),))
    given = find_runner(engine).load(path, threads=1).run([images().numpy()])
    for name, ours, theirs in zip(names, expected, given, strict=True):
        assert np.abs(ours.numpy() - theirs).max() < 0.1 and np.abs(ours.numpy() - theirs).mean() < 2e-3, name
