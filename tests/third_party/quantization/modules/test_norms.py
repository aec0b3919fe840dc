"""Batch norm behind a quantized layer: in float, folded into the weight, in fixed point."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from third_party.quantization.modules import FixedPointBatchNorm, LayerOptions, QuantConv2d, QuantConvTranspose2d
from third_party.quantization.modules.norms import split_norm
from third_party.quantization.spec import LQNetSpec, LSQSpec
from third_party.quantization.spec.config import BATCH_NORMS

from .cases import by_hand, sample


class Frozen(nn.Module):
    """A norm that never changes, as detectors freeze theirs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.linspace(-1, 2, channels))
        self.register_buffer("bias", torch.linspace(1, -1, channels))

    def fold(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        return weight * self.weight.view(
            -1, *[1] * (weight.dim() - 1)
        ), self.bias if bias is None else self.bias + bias * self.weight

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


def trained_norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        for i, tensor in enumerate((norm.weight, norm.bias, norm.running_mean)):
            tensor.copy_(sample((channels,), seed=10 + i))
        norm.running_var.copy_(sample((channels,), seed=20).abs() + 0.5)
    return norm


def make(norm: nn.Module, batch_norm: str, bits: int | None = 4, bias: bool = True) -> QuantConv2d:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 3, padding=1, bias=bias)
    conv.norm = norm
    weight = None if bits is None else LSQSpec(bits=bits, granularity="channel")
    return QuantConv2d.from_float(conv, weight, None if bits is None else LSQSpec(bits=bits), LayerOptions(batch_norm))


@pytest.mark.parametrize("bias", (True, False))
@pytest.mark.parametrize("batch_norm", ("float", "fold"))
def test_without_quantization_training_is_that_of_the_float_layers(batch_norm, bias):
    layer = make(trained_norm(5), batch_norm, bits=None, bias=bias)
    conv, norm = nn.Conv2d(3, 5, 3, padding=1, bias=bias), copy.deepcopy(layer.norm)
    conv.load_state_dict({key: value for key, value in layer.state_dict().items() if "norm" not in key})
    x, target = sample((4, 3, 6, 6)), sample((4, 5, 6, 6), seed=3)
    for _ in range(3):
        loss, expected = (layer(x) * target).sum(), (norm(conv(x)) * target).sum()
        torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)
        loss.backward()
        expected.backward()
    torch.testing.assert_close(layer.weight.grad, conv.weight.grad, rtol=1e-3, atol=1e-3)
    for ours, theirs in zip(layer.norm.parameters(), norm.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-3)
    for ours, theirs in zip(layer.norm.buffers(), norm.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(layer.eval()(x), norm.eval()(conv(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bits", (2, 8))
@pytest.mark.parametrize("make_norm", (trained_norm, Frozen))
def test_folded_weights_are_quantized(make_norm, bits):
    layer = make(make_norm(5), "fold", bits)
    x = sample((4, 3, 6, 6))
    layer(x)
    norm = layer.eval().norm
    if isinstance(norm, Frozen):
        factor, shift = norm.weight, norm.bias
    else:
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - norm.running_mean * factor
    weight = by_hand(layer.weight_quantizer, layer.weight * factor.detach().view(-1, 1, 1, 1), 0)
    assert weight[0].unique().numel() <= 2**bits
    expected = F.conv2d(by_hand(layer.input_quantizer, x, 1), weight, shift + layer.bias * factor, padding=1)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_folding_in_training_normalizes_by_the_batch():
    layer = make(trained_norm(5), "fold", bits=8)
    layer.norm.running_mean.fill_(50.0)
    y = layer(sample((8, 3, 16, 16)))
    bias = layer.norm.bias.detach()
    torch.testing.assert_close(y.mean((0, 2, 3)), bias, atol=0.05, rtol=0)
    torch.testing.assert_close(y.std((0, 2, 3)), layer.norm.weight.detach().abs(), atol=0.05, rtol=0)
    y.square().sum().backward()
    tensors = (layer.weight, layer.norm.weight, layer.norm.bias, layer.weight_quantizer.scale)
    assert all(t.grad.abs().sum() > 0 for t in tensors)


@pytest.mark.parametrize("make_norm", (trained_norm, Frozen))
def test_fixed_point_is_integer_arithmetic(make_norm):
    layer = make(make_norm(5), "fixed_point", bits=4)
    x = sample((2, 3, 6, 6))
    layer(x)
    layer.eval()
    k = F.conv2d(
        layer.input_quantizer.integers(x).double(), layer.weight_quantizer.integers(layer.weight).double(), padding=1
    )
    norm = layer.norm
    if isinstance(norm, Frozen):
        factor, shift = norm.weight.double(), norm.bias.double()
    else:
        factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        shift = norm.bias.double() - norm.running_mean.double() * factor
    shift = shift + layer.bias.double() * factor
    step = layer.input_quantizer.scale.double() * layer.weight_quantizer.scale.double()
    # the multiplier: 16 bits with its sign; the bias: whole multiples of the product's unit
    d = torch.where(factor == 0, 0, 15 - torch.frexp(factor).exponent)
    c = (factor * 2.0**d).round()
    assert (c.abs() <= 2**15).all() and (c.abs() >= 2**14).all()
    b = (shift * 2.0**d / step).round()
    y = (c.view(1, -1, 1, 1) * k + b.view(1, -1, 1, 1)) * (step / 2.0**d).view(1, -1, 1, 1)
    torch.testing.assert_close(layer(x).double(), y, rtol=1e-5, atol=1e-5)


def test_fixed_point_rounds_multiplier_and_bias():
    factor, shift = torch.tensor([0.3, -1.7]), torch.tensor([0.21, 0.77])
    rounded = FixedPointBatchNorm(bits=3)(factor, shift, torch.tensor(0.1))
    # 0.3 = c / 2**d with |c| in [2, 4): 2/8 or 3/8 (2.4 rounds to 2); 1.7: 3/2 (3.4 rounds to 3)
    torch.testing.assert_close(rounded[0], torch.tensor([2 / 8, -3 / 2]))
    # units of 0.1 / 8 and 0.1 / 2: 16.8 -> 17, 15.4 -> 15
    torch.testing.assert_close(rounded[1], torch.tensor([17 * 0.1 / 8, 15 * 0.1 / 2]))
    factor.requires_grad_()
    shift.requires_grad_()
    sum(t.sum() for t in FixedPointBatchNorm(bits=3)(factor, shift)).backward()
    assert torch.equal(factor.grad, torch.ones(2)) and torch.equal(shift.grad, torch.ones(2))
    with pytest.raises(ValueError, match="from 2 to 31, got 1"):
        FixedPointBatchNorm(bits=1)


def test_fixed_point_trains_by_batch_statistics():
    layer = make(trained_norm(5), "fixed_point", bits=8)
    reference = copy.deepcopy(layer.norm)
    x = sample((4, 3, 6, 6))
    y = layer(x)
    conv = F.conv2d(layer.input_quantizer(x), layer.quantized_weight(), layer.bias, padding=1)
    torch.testing.assert_close(y, reference(conv), rtol=1e-3, atol=1e-3)
    for ours, theirs in zip(layer.norm.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    y.square().sum().backward()
    assert layer.norm.weight.grad.abs().sum() > 0 and layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("batch_norm", BATCH_NORMS)
def test_activations_inside_the_norm_run_behind_it(batch_norm):
    layer = make(nn.Sequential(trained_norm(5), nn.ReLU()), batch_norm, bits=8)
    plain = make(trained_norm(5), batch_norm, bits=8)
    x = sample((2, 3, 6, 6))
    torch.testing.assert_close(layer(x), plain(x).relu())
    assert "norm.0.weight" in layer.state_dict()


@pytest.mark.parametrize("batch_norm", BATCH_NORMS)
def test_other_norms_run_in_float(batch_norm):
    layer = make(nn.GroupNorm(1, 5), batch_norm, bits=8)
    x = sample((2, 3, 6, 6))
    y = layer(x)
    expected = layer.norm(F.conv2d(layer.input_quantizer(x), layer.quantized_weight(), layer.bias, padding=1))
    torch.testing.assert_close(y, expected)
    assert split_norm(nn.BatchNorm2d(3, track_running_stats=False))[0] is None


def test_folding_into_transposed_convolutions_with_groups():
    torch.manual_seed(0)
    conv, norm = nn.ConvTranspose2d(4, 6, 3, groups=2), trained_norm(6).eval()
    x = sample((2, 4, 5, 5))
    layer = QuantConvTranspose2d(conv, norm=norm, batch_norm="fold")
    torch.testing.assert_close(layer(x), norm(conv(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_norm", ("fold", "fixed_point"))
def test_one_value_a_channel_has_no_variance(batch_norm):
    layer = make(trained_norm(5), batch_norm)
    with pytest.raises(ValueError, match="more than one value a channel"):
        layer(sample((1, 3, 1, 1)))


def test_cumulative_average_of_statistics():
    norm = nn.BatchNorm2d(5, momentum=None)
    layer, reference = make(norm, "fold", bits=None), copy.deepcopy(norm)
    for seed in range(3):
        x = sample((4, 3, 6, 6), seed)
        layer(x)
        reference(F.conv2d(x, layer.weight, layer.bias, padding=1))
    torch.testing.assert_close(layer.norm.running_var, reference.running_var)
    torch.testing.assert_close(layer.norm.running_mean, reference.running_mean)


def test_unit_of_sums_of_products():
    layer = QuantConv2d.from_float(nn.Conv2d(3, 4, 1), LSQSpec(granularity=2), LSQSpec())
    assert layer.accumulator_scale() is None
    layer(sample((2, 3, 4, 4)))
    expected = layer.input_quantizer.scale * layer.weight_quantizer.scale.repeat_interleave(2)
    assert torch.equal(layer.accumulator_scale(), expected.detach())
    for weight, activation in (
        (None, LSQSpec()),
        (LSQSpec(), LSQSpec(granularity="channel")),
        (LQNetSpec(bits=2), LSQSpec()),
    ):
        layer = QuantConv2d.from_float(nn.Conv2d(3, 4, 1), weight, activation)
        layer(sample((2, 3, 4, 4)))
        assert layer.accumulator_scale() is None
