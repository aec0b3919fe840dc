"""prepare: what becomes of the layers of a model, and what stays."""

import copy
import io

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from third_party.quantization import prepare
from third_party.quantization.modules import QuantAdd, QuantConv2d, QuantLayer
from third_party.quantization.spec import LSQSpec, QuantConfig, Rule, SetBits, Step
from third_party.quantization.transform import quantizers

from .models import LAYERS, NormedConv, config, images, make_net


def types(model: nn.Module) -> dict[str, type]:
    return {name: type(module) for name, module in model.named_modules()}


def test_replaces_every_kind_of_layer():
    net = make_net()
    report = prepare(net, config())
    for name in LAYERS:
        assert (
            type(net.get_submodule(name)).__name__
            == {
                "stem": "QuantConv2d",
                "depthwise": "QuantConv2d",
                "add": "QuantAdd",
                "up": "QuantConvTranspose2d",
                "cat": "QuantConcat",
                "head": "QuantConv2d",
                "classifier": "QuantLinear",
            }[name]
        )
    assert type(net.pool) is nn.MaxPool2d
    assert report.row("pool").why == "shares the scale of its input"
    net(images()).sum().backward()
    assert all(quantizer.initialized for _, quantizer in quantizers(net))


def test_parameters_stay_the_same_objects():
    net = make_net()
    before = dict(net.named_parameters())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    names = list(net.state_dict())
    prepare(net, config())
    after = dict(net.named_parameters())
    assert all(after[name] is parameter for name, parameter in before.items())
    assert [key for key in net.state_dict() if "_quantizer." not in key] == names
    start = net.head.weight.detach().clone()
    net(images()).square().sum().backward()
    optimizer.step()
    assert not torch.equal(net.head.weight, start)


def test_a_second_call_and_a_dry_run_change_nothing():
    net = make_net()
    state, before = copy.deepcopy(net.state_dict()), types(net)
    dry = prepare(net, config(), dry_run=True)
    assert types(net) == before and list(net.state_dict()) == list(state)
    assert all(torch.equal(net.state_dict()[key], value) for key, value in state.items())
    report = prepare(net, config())
    assert report == dry and types(net) != before
    net(images())
    modules, state = dict(net.named_modules()), copy.deepcopy(net.state_dict())
    assert prepare(net, config()) == report
    assert all(module is modules[name] for name, module in net.named_modules())
    assert all(torch.equal(net.state_dict()[key], value) for key, value in state.items())


def test_a_prepared_model_is_not_prepared_otherwise():
    net = make_net()
    prepare(net, config(bits=4))
    with pytest.raises(ValueError, match=r"'stem' is quantized already, its activation by LSQSpec\(bits=4.*bits=5"):
        prepare(net, config(bits=5))
    with pytest.raises(ValueError, match="'stem' is quantized already, its options by"):
        prepare(net, config(bits=4, batch_norm="fold"))


@pytest.mark.parametrize(
    ("rules", "message"),
    (
        ((Rule(name="stm", skip=True),), r"rule 1 \(name stm\) matches no layer.*stem"),
        ((Rule(module_type="Conv3d", skip=True),), r"rule 1 \(type Conv3d\) matches no layer"),
        (
            (Rule(name="h*", weight={"granularity": 4}),),
            r"layer 'head' \(Conv2d\): .*4 groups does not divide 6 channels",
        ),
    ),
)
def test_errors_come_before_any_change(rules, message):
    net = make_net()
    before, modules = types(net), list(net.modules())
    with pytest.raises(ValueError, match=message):
        prepare(net, config(rules=rules))
    assert types(net) == before and list(net.modules()) == modules
    net(images())


def test_steps_that_mean_no_layer_are_errors():
    with pytest.raises(ValueError, match=r"step 1 .*matches no layer"):
        prepare(make_net(), config(schedule=(Step(iteration=3, name="backbone.*", action=SetBits(bits=2)),)))


def test_steps_that_mean_float_layers_are_errors():
    settings = config(
        rules=(Rule(name="head", skip=True),), schedule=(Step(iteration=3, name="head", action=SetBits(bits=2)),)
    )
    net = make_net()
    with pytest.raises(ValueError, match="step 1 .*means no quantized tensor"):
        prepare(net, settings)
    assert type(net.stem) is NormedConv


def test_rules_decide_and_are_cited():
    rules = (
        Rule(module_type="Conv2d", weight={"bits": 3}),
        Rule(name="head", weight={"bits": 8}, activation="float"),
        Rule(name="cl*", skip=True),
    )
    net = make_net()
    report = prepare(net, config(rules=rules))
    assert net.stem.weight_quantizer.bits == 3 and net.head.weight_quantizer.bits == 8
    assert net.head.input_quantizer is None and type(net.classifier) is nn.Linear
    assert "rule 2 (name head), rule 1 (type Conv2d)" in report.row("head").why
    assert "rule 3" in report.row("classifier").why and report.row("classifier").weight == "float"
    assert prepare(net, config(rules=rules)) == report


def test_shared_layers_stay_shared():
    net = nn.ModuleDict({"first": nn.Sequential(nn.Conv2d(3, 3, 1)), "other": nn.Conv2d(3, 3, 1)})
    net["second"] = nn.Sequential(net["first"][0], nn.ReLU())
    report = prepare(net, config())
    assert isinstance(net["first"][0], QuantConv2d) and net["second"][0] is net["first"][0]
    assert [row.name for row in report.rows] == ["first.0", "other"]
    assert "also named second.0" in report.row("first.0").why
    different = nn.ModuleDict({"a": nn.Conv2d(3, 3, 1)})
    different["b"] = different["a"]
    with pytest.raises(ValueError, match="layer 'a' is also 'b', but settings differ"):
        prepare(different, config(rules=(Rule(name="b", weight={"bits": 2}),)))


def test_tied_weights_stay_tied_and_count_once():
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    net[1].weight = net[0].weight
    report = prepare(net, config())
    assert net[1].weight is net[0].weight and isinstance(net[1], QuantLayer)
    assert report.num_parameters == 16 and "weight shared with 0" in report.row("1").why


def test_layers_without_converter_are_reported():
    class Standardizing(nn.Conv2d):
        def forward(self, x):
            return F.conv2d(x, self.weight - self.weight.mean(), self.bias)

    class Scaling(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, 2))

    class Renamed(nn.Conv2d):
        pass

    net = nn.ModuleDict(
        {
            "own": Standardizing(2, 2, 1),
            "unknown": Scaling(),
            "attention": nn.MultiheadAttention(4, 2),
            "parametrized": nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, 1)),
            "renamed": Renamed(2, 2, 1),
            "conv": nn.Conv2d(2, 2, 1),
        }
    )
    before = types(net)
    report = prepare(net, config())
    whys = {row.name: row.why for row in report.rows}
    assert whys["own"] == "no converter for Standardizing, whose forward is not that of Conv2d"
    assert whys["unknown"] == "no converter for Scaling"
    assert whys["attention"] == "no converter for MultiheadAttention"
    assert whys["attention.out_proj"] == "attention reads its weight without calling it"
    assert whys["parametrized"] == "its weight is computed from other parameters"
    changed = {name for name, kind in types(net).items() if before.get(name, kind) is not kind}
    assert changed == {"renamed", "conv"} and types(net)["renamed"] is QuantConv2d


def test_lazy_layers_are_an_error():
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.LazyConv2d(3, 1))
    with pytest.raises(ValueError, match="not known yet: 1.weight, 1.bias"):
        prepare(net, config())
    assert type(net[0]) is nn.Conv2d


def test_mode_gradients_and_type_are_kept():
    net = make_net().double()
    net.stem.eval()
    net.head.weight.requires_grad_(False)
    prepare(net, config())
    assert not net.stem.training and not net.stem.input_quantizer.training and net.head.weight_quantizer.training
    assert not net.head.weight.requires_grad and net.head.weight.dtype == torch.float64
    assert net.head.weight_quantizer.scale.dtype == torch.float32
    assert isinstance(net.add, QuantAdd) and net.add.input_quantizer.training


def test_devices_follow_the_layers():
    net = make_net().to("meta")
    prepare(net, config())
    assert {tensor.device.type for tensor in [*net.parameters(), *net.buffers()]} == {"meta"}


def test_the_model_itself_cannot_be_replaced():
    with pytest.raises(ValueError, match="model itself is a Conv2d: put it into a container"):
        prepare(nn.Conv2d(2, 2, 1), config())
    prepare(nn.Conv2d(2, 2, 1), config(weight=None, activation=None))


def test_nothing_to_quantize_leaves_the_model():
    net = make_net()
    before = types(net)
    report = prepare(net, QuantConfig(weight=None, activation=None, elementwise=None))
    assert types(net) == before and report.bytes_quantized == report.bytes_float


@pytest.mark.parametrize("batch_norm", ("fold", "fixed_point"))
def test_notes_of_norms_that_stay(batch_norm):
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4)))
    report = prepare(net, config(batch_norm=batch_norm))
    assert report.notes[0].startswith(f"batch_norm '{batch_norm}' concerns") and report.notes[0].endswith(": 1, 2.0")
    assert prepare(net, config(batch_norm=batch_norm)) == report and report.notes[0] in str(report)
    net = make_net()
    net.stem.norm = nn.GroupNorm(2, 8)
    report = prepare(net, config(batch_norm=batch_norm))
    assert not report.notes and "norm GroupNorm stays in float" in report.row("stem").why


@pytest.mark.parametrize("batch_norm", ("float", "fold", "fixed_point"))
def test_copies_and_saved_states_compute_the_same(batch_norm):
    net = make_net()
    prepare(net, config(batch_norm=batch_norm))
    net(images())
    twin = copy.deepcopy(net)
    net.eval()
    y = net(images(1))
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    fresh = make_net()
    prepare(fresh, config(batch_norm=batch_norm))
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(fresh.eval()(images(1)), y) and torch.equal(twin.eval()(images(1)), y)


def test_exports():
    net = make_net()
    prepare(net, config())
    net(images())
    net.eval()
    program = torch.export.export(net, (images(),))
    torch.testing.assert_close(program.module()(images(1)), net(images(1)))


def test_weights_per_group_of_channels():
    net = make_net()
    prepare(net, config(granularity=2, rules=(Rule(name="classifier", weight={"granularity": 3}),)))
    assert net.stem.weight_quantizer.scale.shape == (2,)
    net(images())


def test_specs_may_be_shared():
    spec = LSQSpec(bits=4, granularity="channel")
    net = make_net()
    prepare(net, QuantConfig(weight=spec, activation=LSQSpec(), elementwise=None))
    ids = [id(quantizer) for _, quantizer in quantizers(net)]
    assert len(ids) == len(set(ids)) == 10
