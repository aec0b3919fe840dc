"""Channels that a norm switched off, levels without zero, a range for each channel."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from third_party.quantization.export import find_runner, parity, simulate, to_onnx, trace
from third_party.quantization.export.nodes import FAKE_QUANTIZE

from ..transform.models import NormedConv
from .models import Wrapped, config, converted, images

pytest.importorskip("onnxscript")


@pytest.mark.parametrize("factor", (0.0, 1e-10, -1e-10))
def test_channels_that_are_switched_off_keep_their_bias(factor, tmp_path):
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    net = converted(nn.Sequential(NormedConv(3, 4, 3), nn.Conv2d(4, 4, 1)), config(), images())
    layer = net[0]
    layer.weight_scale[1] = factor
    layer.bias[1] = 1.5
    program = trace(net, (images(),))
    path = to_onnx(program, tmp_path / "a.onnx", input_names=["x"], output_names=["y"], target="onnxruntime")
    report = parity(program, path, find_runner("onnxruntime"), [(images(seed=3),)])
    assert report.first_failure is None


class Levels(nn.Module):
    """Fake quantization with constant ranges."""

    def __init__(self, step: Tensor, zero_point: Tensor, low: int, high: int, axis: int | None, half: bool) -> None:
        super().__init__()
        self.register_buffer("step", step)
        self.register_buffer("zero_point", zero_point)
        self.settings = (low, high, axis, half, 1.0, False)

    def forward(self, x: Tensor) -> Tensor:
        return FAKE_QUANTIZE(x, self.step, self.zero_point, *self.settings)


ONE = torch.tensor(0.25)
GRIDS = {
    "half": Levels(ONE, torch.tensor(0.0), -8, 7, None, True),
    "channels": Levels(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([3.0, 5.0, 0.0]), 0, 100, 1, False),
    "wide": Levels(ONE / 1000, torch.tensor(700.0), 0, 2**12 - 1, None, False),
    "narrow": Levels(ONE, torch.tensor(0.0), -3, 3, None, False),
}


@pytest.mark.parametrize("target", ("generic", "onnxruntime"))
@pytest.mark.parametrize("name", GRIDS)
def test_grids_of_every_kind_are_carried(name, target, tmp_path):
    pytest.importorskip("onnxruntime")
    x = images(1, 8, 8) * 2
    program = trace(Wrapped(lambda m, x: m.q(x), q=GRIDS[name]), (x,))
    path = to_onnx(program, tmp_path / "a.onnx", input_names=["x"], output_names=["y"], target=target)
    (expected,), _ = simulate(program, (x,))
    (given,) = find_runner("onnxruntime").load(path).run([x.numpy()])
    np.testing.assert_allclose(given, expected.numpy(), atol=1e-6)
    assert len(np.unique(given)) > 3
