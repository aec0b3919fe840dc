"""Tying ranges: who reads the same tensor, and that a tied model is saved, loaded, prepared and converted as before."""

import copy

import pytest
import torch
from torch import nn

from third_party.quantization import QuantConfig, convert, missing_quantizer_keys, prepare, tie_ranges
from third_party.quantization.spec import ImageSpec, LSQSpec, MinMaxSpec, Rule
from third_party.quantization.transform import quantizers
from third_party.quantization.transform.flow import follow

from .models import Add, Concat, NormedConv

SPEC = MinMaxSpec(symmetric=False)
CONFIG = QuantConfig(weight=MinMaxSpec(granularity="channel"), activation=SPEC, elementwise=SPEC)


class Split(nn.Module):
    """A block that splits its channels, adds, and joins all parts; then pooling, upsampling and a shared head."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = NormedConv(3, 8, 3, nn.SiLU(inplace=True))
        self.inner = NormedConv(4, 4, 3, nn.SiLU(inplace=True))
        self.add = Add()
        self.concat = Concat()
        self.leave = NormedConv(12, 6, 1, nn.ReLU(inplace=True))
        self.down = nn.MaxPool2d(2)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.head = nn.Conv2d(6, 2, 1)
        self.other_head = nn.Conv2d(6, 3, 1)
        self.alone = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        a, b = self.enter(x).chunk(2, 1)
        y = self.leave(self.concat([a, b, self.add(b, self.inner(b))]))
        outputs = []
        for level in (y, self.down(y)):
            outputs += [self.alone(self.head(level)), self.other_head(level)]
        return [*outputs, self.head(self.up(y))]


def make(config=CONFIG):
    torch.manual_seed(0)
    net = Split().eval()
    prepare(net, config)
    return net


def images(seed=1):
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def tie(net):
    return tie_ranges(net, lambda: net(images()))


def q(*names):
    return tuple(f"{name}.input_quantizer" for name in names)


def test_groups():
    net = make()
    groups = tie(net)
    assert groups == [q("inner", "add", "concat", "leave"), q("head", "other_head")]
    assert net.inner.input_quantizer is net.leave.input_quantizer is net.add.input_quantizer
    assert len({id(quantizer) for _, quantizer in quantizers(net) if "weight" not in _}) == 4
    assert tie(net) == groups


def test_what_the_run_does_leaves_no_trace():
    net = make()
    before, mode = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    tie(net.train())
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(m.training for m in net.modules()) and not any(mode)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_other_specs_are_not_tied():
    net = make(QuantConfig(activation=SPEC, elementwise=SPEC, rules=(Rule(name="add", elementwise={"bits": 16}),)))
    # The sum's inputs at 16 bits: what it reads is still read by the others together.
    assert tie(net) == [q("inner", "concat", "leave"), q("head", "other_head")]
    net = make(QuantConfig(activation=SPEC, elementwise=LSQSpec(bits=8)))
    assert tie(net) == [q("add", "concat"), q("head", "other_head")]
    net = make(QuantConfig(activation=SPEC, elementwise=None))
    assert tie(net) == [q("head", "other_head")]


def test_a_spec_that_differs_separates_its_neighbours():
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.concat = nn.Conv2d(2, 2, 1), nn.Conv2d(4, 2, 1), Concat()

        def forward(self, x):
            return self.second(self.concat([x, self.first(x)]))

    net = Chain()
    prepare(net, QuantConfig(activation=SPEC, elementwise=LSQSpec()))
    assert tie_ranges(net, lambda: net(torch.randn(1, 2, 3, 3))) == []


def test_values_changed_in_place_are_other_tensors():
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.after = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)

        def forward(self, x):
            x = x + 0
            return self.before(x), self.after(x.relu_())

    net = InPlace()
    prepare(net, CONFIG)
    assert tie_ranges(net, lambda: net(torch.randn(1, 2, 3, 3))) == []


def test_several_ranges_are_not_tied():
    net = make(QuantConfig(activation=MinMaxSpec(granularity="channel"), elementwise=None))
    assert tie(net) == []


def test_state_dicts_prepare_and_convert_know_tied_ranges():
    net, keys = make(), set(make().state_dict())
    tie(net)
    assert set(net.state_dict()) == keys
    float_keys = set(Split().state_dict())
    assert missing_quantizer_keys(net, keys - float_keys).others == ()
    prepare(net, CONFIG)
    assert net.inner.input_quantizer is net.leave.input_quantizer
    for number, (_, quantizer) in enumerate(quantizers(net)):
        if quantizer.role.value == "activation":
            quantizer.set_range(-1.0 - number, 2.0)
    untied = make()
    untied.load_state_dict(net.state_dict())
    expected = net(images())
    assert all(torch.equal(a, b) for a, b in zip(untied(images()), expected, strict=True))
    again = copy.deepcopy(net)
    again.load_state_dict(untied.state_dict())
    convert(net)
    assert net.inner.input_quantizer is net.leave.input_quantizer and net.inner.input_quantizer.frozen
    assert all(torch.allclose(a, b, atol=0.1) for a, b in zip(net(images()), expected, strict=True))


def test_ranges_that_differ_are_refused():
    net = make()
    net.add.input_quantizer.set_range(0.0, 1.0)
    with pytest.raises(ValueError, match="inner.input_quantizer and add.input_quantizer read the same tensor, but"):
        tie(net)
    assert net.add.input_quantizer is not net.inner.input_quantizer


def test_fixed_ranges_are_tied_where_they_are_equal():
    net = nn.ModuleList([nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)])
    image = ImageSpec(mean=(1.0, 1.0, 1.0), std=(1.0, 1.0, 1.0))
    prepare(net, QuantConfig(activation=image))
    x = images()
    assert tie_ranges(net, lambda: [layer(x) for layer in net]) == [q("0", "1")]


def test_lowest_values_of_what_is_read():
    net = make()
    lowest = follow(net, lambda: net(images())).lowest()
    silu = -0.27846454276105104
    found = {name: lowest.get(quantizer) for name, quantizer in quantizers(net) if "input" in name}
    expected = (
        dict.fromkeys(found) | dict.fromkeys(q("inner", "add"), silu) | dict.fromkeys(q("head", "other_head"), 0.0)
    )
    assert {name: None if value is None else pytest.approx(value) for name, value in expected.items()} == found
    tie(net)
    assert net.inner.input_quantizer not in follow(net, lambda: net(images())).lowest()
