"""Activation functions on quantized inputs: values, the sigmoid of SiLU, minima, and where they are put."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.third_party.quantization.transform.models import NormedConv
from third_party.quantization import QuantConfig, convert, missing_quantizer_keys, prepare
from third_party.quantization.modules import NONLINEAR_MODULES, QuantLayer, QuantNonlinear, lowest_output
from third_party.quantization.spec import LSQPlusSpec, LSQSpec, MinMaxSpec, Rule
from third_party.quantization.transform import quantizers

SPEC = MinMaxSpec(symmetric=False)


def activation(kind, **settings):
    """In training mode, so that the first data set its range."""
    return QuantNonlinear.from_float(kind(**settings), None, SPEC)


def sample():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 4


@pytest.mark.parametrize("kind", NONLINEAR_MODULES)
def test_reads_quantized_values(kind):
    made, x = activation(kind), sample()
    y = made(x)
    step = (x.max() - x.min()).item() / 255
    read = made.input_quantizer(x)
    assert (read - x).abs().max() <= step / 2 * 1.001
    if kind is nn.SiLU:
        codes = np.clip(np.round(torch.sigmoid(read).numpy() * 256), 0, 255)
        assert np.array_equal(y.numpy(), read.numpy() * (codes.astype(np.float32) / 256))
    else:
        assert torch.equal(y, kind()(read))
    assert torch.equal(x, sample())


def test_a_wide_input_gets_a_fine_sigmoid():
    made = QuantNonlinear.from_float(nn.SiLU(), None, MinMaxSpec(symmetric=False, bits=16))
    x = sample()
    y = made(x)
    assert (y - F.silu(x)).abs().max() < 1e-3
    assert not torch.equal(y, F.silu(made.input_quantizer(x)))


@pytest.mark.parametrize("inplace", [False, True])
def test_switched_off_it_is_the_float_function(inplace):
    made, x = activation(nn.SiLU, inplace=inplace), sample()
    made.input_quantizer.set_enabled(False)
    assert torch.equal(made(x), F.silu(sample()))
    assert torch.equal(x, sample())


def test_settings_stay():
    made, x = activation(nn.LeakyReLU, negative_slope=0.25, inplace=True), sample()
    assert torch.equal(made(x), F.leaky_relu(made.input_quantizer(x), 0.25))


def test_one_range_only():
    with pytest.raises(ValueError, match="needs granularity 'tensor', got 'channel'"):
        QuantNonlinear.from_float(nn.SiLU(), None, LSQSpec(granularity="channel"))


@pytest.mark.parametrize(
    "function",
    [nn.SiLU(), nn.Mish(), nn.GELU(), nn.GELU("tanh"), nn.Hardswish(), nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.ReLU6()],
    ids=str,
)
def test_lowest_output(function):
    values = function(torch.linspace(-40, 4, 2_000_001, dtype=torch.float64))
    assert lowest_output(function) == pytest.approx(values.min().item(), abs=1e-8)


def test_lowest_output_of_functions_and_quantized_forms():
    assert lowest_output(F.relu) == 0.0
    assert lowest_output(F.silu) == lowest_output(activation(nn.SiLU)) == lowest_output(nn.SiLU())
    assert lowest_output(nn.LeakyReLU()) is lowest_output(None) is lowest_output(nn.Softmax(1)) is None


class Net(nn.Module):
    """Layers that carry activation functions, one of them a plain function, and one that stands alone."""

    def __init__(self) -> None:
        super().__init__()
        shared = nn.SiLU(inplace=True)
        self.first = NormedConv(3, 4, 3, shared)
        self.second = NormedConv(4, 4, 3, shared)
        self.third = NormedConv(4, 4, 3, F.hardswish)
        self.clipped = NormedConv(4, 4, 3, nn.ReLU())
        self.head = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Mish())

    def forward(self, x):
        return self.head(self.clipped(self.third(self.second(self.first(x)))))


def config(**settings):
    return QuantConfig(weight=MinMaxSpec(granularity="channel"), activation=SPEC, **settings)


def names(model):
    return [name for name, _ in quantizers(model) if "weight" not in name]


INPUTS = [f"{name}.input_quantizer" for name in ("first", "second", "third", "clipped", "head.0")]


def test_nothing_changes_by_default():
    net = Net()
    report = prepare(net, config())
    assert names(net) == INPUTS
    assert type(net.first.activation) is nn.SiLU and type(net.head[1]) is nn.Mish
    assert [row.name for row in report.rows] == ["first", "second", "third", "clipped", "head.0"]


def test_prepare_wraps_and_is_idempotent():
    torch.manual_seed(0)
    net = Net()
    float_keys = set(net.state_dict())
    report = prepare(net, config(nonlinear=LSQPlusSpec()))
    functions = ["first.activation", "second.activation", "third.activation", "head.1"]
    assert set(names(net)) == {*INPUTS, *(f"{name}.input_quantizer" for name in functions)}
    assert net.first.activation is not net.second.activation
    assert isinstance(net.clipped.activation, nn.ReLU)
    assert "of SiLU 8 bits, lsq_plus" in report.row("first").activation
    assert "of" not in report.row("clipped").activation
    assert report.row("head.1").type == "Mish"
    assert prepare(net, config(nonlinear=LSQPlusSpec())) == report
    with pytest.raises(ValueError, match="its activation function by LSQPlusSpec.*asks? for None"):
        prepare(net, config())
    missing = set(net.state_dict()) - float_keys
    assert missing_quantizer_keys(net, missing).others == ()


def test_rules_decide_layer_by_layer():
    net = Net()
    rules = (
        Rule(name="second", nonlinear={"bits": 16}),
        Rule(name="head.1", nonlinear="float"),
        Rule(module_type="NormedConv", nonlinear={"method": "minmax", "symmetric": False}),
    )
    prepare(net, config(nonlinear=LSQPlusSpec(), rules=rules))
    assert net.first.activation.input_quantizer.spec == MinMaxSpec(symmetric=False)
    assert net.second.activation.input_quantizer.bits == 16
    assert type(net.head[1]) is nn.Mish
    only = Net()
    prepare(only, config(rules=(Rule(name="head.*", nonlinear={"bits": 8}),)))
    assert set(names(only)) == {*INPUTS, "head.1.input_quantizer"}


def test_mapping_round_trip():
    rules = [{"NAME": "a", "NONLINEAR": {"BITS": 4}}, {"NAME": "b", "NONLINEAR": "float"}]
    made = QuantConfig.from_mapping({"NONLINEAR": {"METHOD": "minmax", "SYMMETRIC": False}, "RULES": rules})
    assert made.nonlinear == SPEC
    assert made.rules[0].nonlinear == {"bits": 4}
    assert QuantConfig.from_mapping(made.to_mapping()) == made
    assert QuantConfig.from_mapping({}).nonlinear is None
    assert QuantConfig.from_mapping({"NONLINEAR": {}}).nonlinear == LSQPlusSpec()
    assert QuantConfig.from_mapping(QuantConfig().to_mapping()) == QuantConfig()


def test_convert_keeps_it():
    torch.manual_seed(0)
    net = Net()
    prepare(net, config(nonlinear=SPEC))
    x = torch.randn(2, 3, 8, 8)
    net.eval()
    with pytest.raises(ValueError, match=r"no range yet for the input of: first, first.activation, second"):
        convert(net)
    net.train()(x)
    expected = net.eval()(x)
    report = convert(net)
    assert not any(isinstance(module, QuantLayer) for module in net.modules())
    assert isinstance(net.first.activation, QuantNonlinear)
    # A value on the border of two codes may fall to the other side by the rounding of the folded norm.
    assert (net(x) - expected).abs().max() < 0.05 and (net(x) - expected).abs().mean() < 1e-3
    assert "of SiLU 8 bits, minmax" in report.row("first").activation
    assert convert(net) == report
