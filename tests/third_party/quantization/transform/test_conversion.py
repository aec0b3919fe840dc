"""convert: integers that compute what the quantized model computed."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from third_party.quantization import convert, prepare
from third_party.quantization.modules import ConvertedConv2d, ConvertedLayer, LayerOptions, QuantConv2d, QuantLayer
from third_party.quantization.spec import (
    AQDSpec,
    DoReFaSpec,
    LQNetSpec,
    LSQSpec,
    MinMaxSpec,
    PACTSpec,
    Rule,
    TTQSpec,
    XNORSpec,
)
from third_party.quantization.spec.config import BATCH_NORMS
from third_party.quantization.transform import quantizers

from ..modules.cases import CASES, sample
from .models import LAYERS, config, images, make_net


def trained(**settings) -> nn.Module:
    net = make_net()
    prepare(net, config(**settings))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for seed in range(3):
        net(images(seed)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return net.eval()


@pytest.mark.parametrize("batch_norm", BATCH_NORMS)
@pytest.mark.parametrize("bits", (2, 4, 8))
@pytest.mark.parametrize("granularity", ("tensor", "channel"))
def test_output_stays(bits, granularity, batch_norm):
    net = trained(bits=bits, granularity=granularity, batch_norm=batch_norm)
    y, codes = net(images(9)), {}
    for name, layer in net.named_modules():
        if isinstance(layer, QuantLayer) and batch_norm != "fold":
            codes[name] = layer.weight_quantizer.integers(layer.weight)
    report = convert(net)
    assert all(row.why.startswith(("integer", "input on", "shares")) for row in report.rows)
    for name, expected in codes.items():
        assert torch.equal(net.get_submodule(name).weight_codes.int(), expected)
    converted = net(images(9))
    if batch_norm == "float":
        torch.testing.assert_close(converted, y, rtol=1e-5, atol=1e-5 * float(y.detach().abs().max()))
    else:
        assert torch.equal(converted, y)


@pytest.mark.parametrize("batch_norm", BATCH_NORMS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("normed", (False, True))
def test_each_layer_stays(name, batch_norm, normed):
    case = CASES[name]
    torch.manual_seed(0)
    layer = case.make()
    if normed and name != "linear":
        layer.norm = nn.BatchNorm2d(case.make().out_channels)
        nn.init.normal_(layer.norm.weight)
    spec = LSQSpec(bits=4, granularity="channel")
    quantized = case.quantized.from_float(layer, spec, LSQSpec(bits=4), LayerOptions(batch_norm))
    x, extra = sample(case.shape), case.extra()
    quantized(x, *extra)
    y = quantized.eval()(x, *extra)
    converted = quantized.converted_type(quantized)
    assert converted.input_quantizer.frozen
    assert converted.weight_codes.dtype == torch.int8 and not list(converted.parameters(recurse=False))
    result = converted(x, *extra)
    if normed and batch_norm == "float":
        torch.testing.assert_close(result, y, rtol=1e-5, atol=1e-5 * float(y.detach().abs().max()))
    else:
        assert torch.equal(result, y)
    assert type(converted) is case.quantized.converted_type


@pytest.mark.parametrize(
    "spec",
    (
        AQDSpec(bits=3, granularity="channel", grid="interval"),
        AQDSpec(bits=2),
        DoReFaSpec(bits=4),
        MinMaxSpec(bits=8, symmetric=False, granularity="channel"),
        LSQSpec(bits=12, granularity=2),
        XNORSpec(granularity="channel"),
    ),
    ids=lambda spec: f"{spec.method}{spec.bits}",
)
def test_weights_of_other_methods(spec):
    torch.manual_seed(0)
    layer = QuantConv2d.from_float(nn.Conv2d(3, 4, 3, padding=1), spec, LSQSpec(bits=8)).train()
    x = sample((2, 3, 6, 6))
    layer(x)
    y = layer.eval()(x)
    with torch.no_grad():
        weight = layer.quantized_weight()
    converted = ConvertedConv2d(layer)
    assert torch.equal(converted.weight, weight) and torch.equal(converted(x), y)
    assert converted.weight_codes.dtype in ((torch.int16,) if spec.bits > 8 else (torch.int8, torch.uint8))


def test_negative_factors_of_norms_go_into_the_sign_of_the_scale():
    torch.manual_seed(0)
    layer = QuantConv2d.from_float(nn.Conv2d(2, 3, 1), LSQSpec(bits=4), LSQSpec(bits=8))
    layer.norm = nn.BatchNorm2d(3)
    nn.init.constant_(layer.norm.weight, -2.0)
    layer(sample((2, 2, 4, 4)))
    layer.eval()
    codes, scale = layer.weight_quantizer.integers(layer.weight), layer.weight_quantizer.scale.detach()
    factor = -2 / (layer.norm.running_var + layer.norm.eps).sqrt()
    shift = layer.norm.bias + (layer.bias - layer.norm.running_mean) * factor
    converted = ConvertedConv2d(layer)
    torch.testing.assert_close(converted.weight_scale, scale * factor)
    torch.testing.assert_close(converted.bias, shift.detach())
    assert (converted.weight_scale < 0).all() and torch.equal(converted.weight_codes.int(), codes)
    assert converted.norm is None


def test_activations_and_other_norms_stay_behind():
    conv = nn.Conv2d(2, 4, 1)
    conv.norm, conv.activation = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()), F.silu
    layer = QuantConv2d.from_float(conv, LSQSpec(), LSQSpec())
    x = sample((2, 2, 4, 4))
    layer(x)
    y = layer.eval()(x)
    converted = ConvertedConv2d(layer)
    torch.testing.assert_close(converted(x), y, rtol=1e-5, atol=1e-6)
    assert isinstance(converted.norm, nn.Sequential) and isinstance(converted.norm[0], nn.ReLU)
    conv = nn.Conv2d(2, 4, 1)
    conv.norm = nn.GroupNorm(2, 4)
    layer = QuantConv2d.from_float(conv, LSQSpec(), LSQSpec())
    y = layer(x)
    assert torch.equal(ConvertedConv2d(layer)(x), y)


def test_a_second_call_changes_nothing():
    net = trained()
    report = convert(net)
    modules, state = dict(net.named_modules()), copy.deepcopy(net.state_dict())
    assert convert(net) == report
    assert all(module is modules[name] for name, module in net.named_modules())
    assert all(torch.equal(net.state_dict()[key], value) for key, value in state.items())
    assert [row.name for row in prepare(net, config()).rows] == [row.name for row in report.rows]


@pytest.mark.parametrize("batch_norm", BATCH_NORMS)
def test_state_dicts_fit_another_converted_model(batch_norm):
    net, other = trained(batch_norm=batch_norm), trained(batch_norm=batch_norm)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    convert(net)
    convert(other)
    assert not torch.equal(other(images()), net(images()))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(images()), net(images()))


def test_everything_is_frozen():
    net = trained()
    convert(net)
    net.train()
    assert all(quantizer.frozen for _, quantizer in quantizers(net))
    assert not any(parameter.requires_grad for parameter in net.parameters())
    y = net(images())
    net(100 * images(3))
    assert torch.equal(net(images()), y)


def test_ranges_are_needed():
    net = make_net()
    prepare(net, config())
    with pytest.raises(ValueError, match="no range yet for the input of: stem, depthwise, add, up, cat, head, class"):
        convert(net)
    assert isinstance(net.stem, QuantLayer)


def test_what_cannot_be_integers_stays_and_says_why():
    net = make_net()
    rules = (
        Rule(name="stem", weight={"method": "lq_net", "bits": 2}),
        Rule(name="up", activation={"method": "lq_net", "bits": 2}),
        Rule(name="head", weight="float"),
        Rule(name="classifier", skip=True),
    )
    prepare(net, config(rules=rules))
    net(images())
    net.depthwise.weight_quantizer.set_enabled(False)
    y = net.eval()(images())
    report = convert(net)
    assert "weight: its levels are a list" in report.row("stem").why
    assert report.row("depthwise").why.startswith("the weight's quantizer is switched off")
    assert "integer weight; input stays as it is: its levels are a list" in report.row("up").why
    assert report.row("head").why.startswith("weight in floating point")
    assert report.row("classifier").why == "not quantized"
    assert {name for name in LAYERS if isinstance(net.get_submodule(name), ConvertedLayer)} == {"up"}
    torch.testing.assert_close(net(images()), y, rtol=1e-5, atol=1e-5)
    assert convert(net) == report


def test_padding_of_levels_without_zero_is_remarked():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1))
    prepare(net, config(activation=LQNetSpec(bits=2)))
    net(images())
    report = convert(net)
    assert not net[0].input_quantizer.grid().has_zero
    assert "the zeros of the padding are no level" in report.row("0").why
    assert "the zeros of the padding are no level" not in report.row("1").why


def test_shared_layers_are_converted_once():
    net = nn.ModuleDict({"a": nn.Sequential(nn.Conv2d(3, 3, 1))})
    net["b"] = net["a"][0]
    prepare(net, config(activation=PACTSpec(bits=4)))
    net["b"](images())
    convert(net)
    assert isinstance(net["b"], ConvertedConv2d) and net["a"][0] is net["b"]


def test_converted_models_export():
    net = trained(batch_norm="fixed_point")
    convert(net)
    program = torch.export.export(net, (images(),))
    torch.testing.assert_close(program.module()(images(1)), net(images(1)))


def test_ternary_weights_of_one_magnitude():
    layer = QuantConv2d.from_float(nn.Conv2d(3, 4, 3), TTQSpec(tied=True), LSQSpec())
    x = sample((2, 3, 6, 6))
    layer(x)
    y = layer.eval()(x)
    converted = ConvertedConv2d(layer)
    torch.testing.assert_close(converted(x), y)
    assert converted.weight_codes.unique().numel() == 3
