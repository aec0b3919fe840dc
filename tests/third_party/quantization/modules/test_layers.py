"""Every kind of layer computes its float function on quantized input and weight."""

import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from third_party.quantization.modules import LayerOptions, QuantConv2d
from third_party.quantization.modules.adopt import type_names
from third_party.quantization.spec import AQDSpec, LSQPlusSpec, LSQSpec, MinMaxSpec

from .cases import CASES, by_hand, sample

GRANULARITIES = ("tensor", "channel")


def make(name: str, bits: int = 4, granularity: str | int = "channel", **options):
    torch.manual_seed(0)
    case = CASES[name]
    weight = LSQSpec(bits=bits, granularity=granularity)
    return case, case.quantized.from_float(case.make(), weight, LSQSpec(bits=bits), LayerOptions(**options))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("bits", (2, 4, 8))
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_computes_the_float_function_of_quantized_tensors(name, bits, granularity):
    case, layer = make(name, bits, granularity)
    x, extra = sample(case.shape), case.extra()
    y = layer(x, *extra)
    x_q = by_hand(layer.input_quantizer, x, 1)
    w_q = by_hand(layer.weight_quantizer, layer.weight, case.weight_axis)
    assert not torch.allclose(x_q, x) and x_q.unique().numel() <= 2**bits
    bias = layer.bias
    torch.testing.assert_close(y, case.function(x_q, w_q, bias, *extra))


@pytest.mark.parametrize("name", CASES)
def test_gradients_reach_weights_and_ranges(name):
    case, layer = make(name)
    x = sample(case.shape).requires_grad_()
    layer(x, *case.extra()).square().sum().backward()
    tensors = [x, layer.weight, layer.input_quantizer.scale, layer.weight_quantizer.scale]
    assert all(t.grad is not None and t.grad.abs().sum() > 0 for t in tensors)
    assert layer.weight_quantizer.scale.shape == (layer.weight.shape[case.weight_axis],)


@pytest.mark.parametrize("name", CASES)
def test_keeps_parameters_and_their_names(name):
    case, layer = make(name)
    float_layer = case.make()
    names = [key for key in layer.state_dict() if "_quantizer." not in key]
    assert names == list(float_layer.state_dict())
    result = layer.load_state_dict(float_layer.state_dict(), strict=False)
    assert not result.unexpected_keys and all("_quantizer." in key for key in result.missing_keys)
    assert type_names(layer) == type_names(float_layer)
    again = case.quantized(float_layer)
    assert again.weight is float_layer.weight and again.bias is float_layer.bias


@pytest.mark.parametrize("name", CASES)
def test_without_quantizers_it_is_the_float_layer(name):
    case = CASES[name]
    torch.manual_seed(0)
    layer = case.make()
    x, extra = sample(case.shape), case.extra()
    assert torch.equal(case.quantized(layer)(x, *extra), layer(x, *extra))


@pytest.mark.parametrize("name", CASES)
def test_channels_of_inputs(name):
    case = CASES[name]
    layer = case.quantized.from_float(case.make(), None, LSQSpec(granularity="channel"))
    assert layer.input_quantizer.scale.shape == (4,)
    layer(sample(case.shape), *case.extra())
    assert layer.input_quantizer.scale.unique().numel() == 4


@pytest.mark.parametrize("name", CASES)
def test_standardized_weights(name):
    case, layer = make(name, bits=8, standardize=True)
    groups = getattr(layer, "groups", 1) if case.weight_axis else 1
    w = layer.prepared_weight()
    # output channels first, so that each row is one of them
    rows = (
        w.unflatten(0, (groups, -1)).movedim(1 + case.weight_axis, 1).flatten(0, 1).flatten(1)
        if groups > 1
        else w.movedim(case.weight_axis, 0).flatten(1)
    )
    torch.testing.assert_close(rows.mean(1), torch.zeros(rows.shape[0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows.var(1, correction=0), torch.ones(rows.shape[0]), atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    "spec",
    (LSQSpec(bits=3), LSQPlusSpec(bits=3), AQDSpec(bits=2, grid="interval"), MinMaxSpec(bits=4, symmetric=False)),
    ids=lambda spec: f"{spec.method}-{spec.grid}",
)
def test_padding_is_exact_zero(spec):
    layer = QuantConv2d.from_float(nn.Conv2d(3, 4, 3, padding=1), LSQSpec(granularity="channel"), spec)
    x = sample((2, 3, 5, 5)) + 2
    y = layer(x)
    padded = F.pad(layer.input_quantizer(x), (1, 1, 1, 1))
    torch.testing.assert_close(y, F.conv2d(padded, layer.quantized_weight(), layer.bias))
    # The integer that stands for the padding exists even where zero is no level.
    grid = layer.input_quantizer.grid()
    smallest, largest = torch.iinfo(grid.code_dtype).min, torch.iinfo(grid.code_dtype).max
    assert grid.exact and smallest <= int(grid.zero_point) <= largest
    assert grid.has_zero == (spec.grid == "integer")


def test_carries_norm_and_activation():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, bias=False)
    norm = nn.GroupNorm(2, 4)
    layer = QuantConv2d(conv, norm=norm, activation=F.relu)
    x = sample((2, 3, 5, 5))
    torch.testing.assert_close(layer(x), F.relu(norm(conv(x))))
    conv.norm, conv.activation = norm, nn.SiLU()
    torch.testing.assert_close(QuantConv2d(conv)(x), F.silu(norm(conv(x))))


def test_output_size_of_transposed_convolutions():
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2)
    x = sample((1, 2, 4, 4))
    quantized = CASES["transposed"].quantized(layer)
    assert torch.equal(quantized(x, [10, 10]), layer(x, [10, 10]))
    assert quantized(x, output_size=[10, 10]).shape == (1, 3, 10, 10)


def test_empty_batches_keep_shape_and_graph():
    for name in ("plain", "deformable"):
        case, layer = make(name)
        y = layer(sample(case.shape), *case.extra())
        empty = layer(torch.zeros(0, *case.shape[1:]), *(t[:0] for t in case.extra()))
        assert empty.shape == (0, *y.shape[1:])
        empty.sum().backward()
        assert layer.weight.grad is not None


def test_predicting_before_any_data_is_an_error():
    _, layer = make("plain")
    with pytest.raises(RuntimeError, match="no range yet"):
        layer.eval()(sample((1, 4, 6, 5)))


def test_hooks_and_mode_come_along():
    conv, calls = nn.Conv2d(2, 2, 1).eval(), []
    handle = conv.register_forward_hook(lambda module, args, output: calls.append(module))
    layer = QuantConv2d.from_float(conv, LSQSpec(granularity="channel"), None)
    layer(sample((1, 2, 3, 3)))
    assert calls == [layer] and not layer.training and not layer.weight_quantizer.training
    handle.remove()
    layer(sample((1, 2, 3, 3)))
    assert len(calls) == 1
    conv.register_state_dict_post_hook(lambda *args: None)
    with pytest.warns(UserWarning, match="hooks on its state dict"):
        QuantConv2d(conv)


def test_bad_options():
    with pytest.raises(ValueError, match="batch_norm must be one of float, fold, fixed_point"):
        QuantConv2d(nn.Conv2d(1, 1, 1), batch_norm="folded")
    with pytest.raises(ValueError, match="5 groups does not divide 4 channels"):
        QuantConv2d.from_float(nn.Conv2d(2, 4, 1), LSQSpec(granularity=5), None)


def test_pickles():
    _, layer = make("plain")
    x = sample((2, 4, 6, 5))
    y = layer(x)
    assert torch.equal(pickle.loads(pickle.dumps(layer))(x), y)
