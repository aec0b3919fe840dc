import pytest
import torch
import torch.nn.functional as F
from torch import nn

from detectron2.layers import DeformConv, ModulatedDeformConv
from tests.facts import golden


@pytest.fixture(params=["a", "b", "c"])
def case(request):
    prefix = request.param + "_"
    arrays = golden("deform_conv").items()
    return {name.removeprefix(prefix): torch.from_numpy(a) for name, a in arrays if name.startswith(prefix)}


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def build(kind, case, **options):
    kernel, stride, padding, dilation, deformable, groups = case["params_k_stride_pad_dil_defgroups_groups"].tolist()
    channels = case["x"].shape[1], case["weight"].shape[0]
    layer = kind(*channels, kernel, stride, padding, dilation, groups, deformable, **options)
    layer.weight.data.copy_(case["weight"])
    return layer


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_output_and_gradients(case, version):
    names = ["x", "offset"] if version == "v1" else ["x", "offset", "mask"]
    inputs = [case[name].clone().requires_grad_() for name in names]
    layer = build(DeformConv if version == "v1" else ModulatedDeformConv, case)
    if version == "v2":
        layer.bias.data.copy_(case["bias"])
    out = layer(*inputs)
    close(out, case[f"{version}_out"])
    out.backward(case["gradout"])
    for name, value in zip(names, inputs, strict=True):
        close(value.grad, case[f"{version}_grad_{name}"])
    for name, parameter in layer.named_parameters():
        close(parameter.grad, case[f"{version}_grad_{name}"])


def test_without_offsets_it_is_a_convolution():
    layer = ModulatedDeformConv(4, 6, 3, padding=1, norm=nn.BatchNorm2d(6), activation=F.relu).eval()
    x = torch.rand(2, 4, 5, 7)
    out = layer(x, torch.zeros(2, 18, 5, 7), torch.ones(2, 9, 5, 7))
    close(out, F.relu(layer.norm(F.conv2d(x, layer.weight, padding=1))))
    assert list(layer.state_dict())[:2] == ["weight", "bias"] and "norm.weight" in layer.state_dict()


def test_empty_batch():
    layer = DeformConv(4, 6, 3, stride=2, padding=1)
    x = torch.zeros(0, 4, 9, 7, requires_grad=True)
    out = layer(x, torch.zeros(0, 18, 5, 4))
    assert out.shape == (0, 6, 5, 4)
    out.sum().backward()
    assert layer.weight.grad.eq(0).all() and x.grad.shape == x.shape


def test_settings_are_shown():
    text = repr(ModulatedDeformConv(4, 8, 3, stride=2, deformable_groups=2, bias=False))
    assert "stride=(2, 2)" in text and "deformable_groups=2" in text and "bias=False" in text


@pytest.mark.parametrize(
    "options, message",
    [({"bias": True}, "no bias"), ({"groups": 3}, "in_channels 4 .* 3"), ({"deformable_groups": 3}, "in_channels 4")],
)
def test_wrong_use_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        DeformConv(4, 6, 3, **options)
