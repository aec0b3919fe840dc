"""Inputs that are divided by one number a channel compute in OpenVINO what the program computes."""

import functools

import pytest
import torch
from torch import Tensor, nn

from third_party.quantization import convert, prepare
from third_party.quantization.export import find_runner, parity, to_onnx, trace
from third_party.quantization.export.lowering.to_onnx import to_model

from ..transform.models import NormedConv
from .models import SIZES, config, images, needs_onnx

pytestmark = needs_onnx

CHANNELS = 8
NAMES = {"input_names": ["images"], "output_names": ["a", "b", "c"]}


class Branches(nn.Module):
    """Depthwise layers: two read one tensor, one has a tensor for itself, one reads what is pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = NormedConv(3, CHANNELS, 3, nn.SiLU())
        self.left = NormedConv(CHANNELS, CHANNELS, 3, nn.SiLU(), groups=CHANNELS)
        self.right = NormedConv(CHANNELS, CHANNELS, 3, groups=CHANNELS)
        self.alone = NormedConv(CHANNELS, CHANNELS, 3, groups=CHANNELS)
        self.pool = nn.MaxPool2d(2)
        self.pooled = NormedConv(CHANNELS, CHANNELS, 3, groups=CHANNELS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.stem(x)
        left, right = self.left(x), self.right(x)
        return self.alone(left), right, self.pooled(self.pool(right))


@functools.cache
def program(bits: int, negative: bool):
    torch.manual_seed(0)
    net = Branches()
    prepare(net, config(bits=bits, nonlinear=None))
    for number, name in enumerate(("left", "right", "alone", "pooled")):
        divisors = torch.linspace(0.3 + 0.1 * number, 1, CHANNELS)
        if negative:
            divisors[[1, 4 + number % 3]] *= -1
        net.get_submodule(name).set_input_scale(divisors)
    net.train()(images(4))
    convert(net.eval())
    return trace(net, (images(),), SIZES)


@pytest.mark.parametrize("negative", (True, False))
@pytest.mark.parametrize("bits", (8, 4))
def test_openvino_computes_what_the_program_computes(bits, negative, tmp_path):
    pytest.importorskip("openvino")
    path = to_onnx(program(bits, negative), tmp_path / "a.onnx", target="openvino", **NAMES)
    report = parity(program(bits, negative), path, find_runner("openvino"), [(images(2, 24, 32, seed=5),)])
    assert report.first_failure is None
    assert all(tensor.count and tensor.largest <= 1.01 for tensor in report.tensors)


@pytest.mark.parametrize(
    "target, bits, negative, kept",
    (
        ("openvino", 8, True, 1),
        ("openvino", 4, False, 1),
        ("openvino", 8, False, 4),
        ("generic", 4, True, 4),
        ("onnxruntime", 4, True, 4),
    ),
)
def test_only_divisions_that_openvino_merges_into_ranges_are_convolutions(target, bits, negative, kept):
    nodes = list(to_model(program(bits, negative), target=target, **NAMES).graph)
    assert [node.op_type for node in nodes].count("Div") == kept
    assert [node.op_type for node in nodes].count("Conv") == 5 + 4 - kept
