"""One test for each defect of the first toolbox that must not come back; details are tested where each part is."""

import pytest
import torch
from torch import nn

from third_party.quantization import QuantConfig, QuantSpec, Role, build_quantizer, prepare, spec_from_mapping
from third_party.quantization.functional.fixed_point import add_aligned, align_scales
from third_party.quantization.grids import IntegerGrid, IntervalGrid
from third_party.quantization.legacy import translate_legacy
from third_party.quantization.modules import FixedPointBatchNorm, QuantLayer
from third_party.quantization.transform import quantizers

ON = {"keyword": ["lsq"], "wt_enable": True, "wt_bit": 2.0, "fm_enable": True, "fm_bit": 2.0}


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))


def _prepared(mapping: dict[str, object], policy: str = "") -> nn.Sequential:
    net = _net()
    if policy:
        mapping = {**mapping, "policy": "policy.txt"}
    translated = translate_legacy(mapping, lambda _: policy, layer_names=["0", "3"])
    prepare(net, QuantConfig.from_mapping(translated))
    net(torch.rand(2, 3, 8, 8))
    return net


def _distinct(quantizer: nn.Module, values: torch.Tensor) -> int:
    return len(quantizer(values).unique())


def test_bits_of_a_policy_change_the_number_of_levels():
    net = _prepared(ON, "on init:\nby_index: 1\nbit: 8")
    values = torch.linspace(-1, 1, 5001)
    assert _distinct(net[0].weight_quantizer, values) == 4
    assert _distinct(net[3].weight_quantizer, values) > 100


def test_bits_changed_later_change_the_number_of_levels():
    quantizer = build_quantizer(spec_from_mapping({"method": "lsq", "bits": 2}), Role.WEIGHT)
    quantizer(torch.linspace(-1, 1, 5001))
    values = torch.linspace(-3, 3, 5001)  # beyond the range on both sides
    assert _distinct(quantizer, values) == 4
    quantizer.set_bits(8)
    assert _distinct(quantizer, values) > 100


def test_the_grid_without_zero_is_not_the_default_and_does_not_pass_as_8_bits():
    assert QuantSpec().grid == "integer" and 0.0 in IntegerGrid(torch.tensor(0.1), torch.tensor(0), -2, 1, 2).levels()
    levels = IntervalGrid(torch.tensor(1 / 3), 2).levels()
    torch.testing.assert_close(levels, torch.tensor([-1, -1 / 3, 1 / 3, 1]))
    assert IntervalGrid(torch.tensor(0.1), 7).exact
    refused = IntervalGrid(torch.tensor(0.1), 8)
    assert not refused.exact and "255" in str(refused.refusal)


def test_aligning_the_scales_of_a_skip_connection_computes_something():
    c, d = align_scales(torch.tensor(0.1), torch.tensor(0.025))
    assert int(c) / 2 ** int(d) == pytest.approx(4.0, rel=1e-4)
    assert add_aligned(torch.tensor([10]), torch.tensor([3]), c, d).tolist() == [43]


def test_a_batch_norm_in_fixed_point_rounds_multiplier_and_bias():
    norm = FixedPointBatchNorm(bits=3)
    factor, shift = torch.tensor([0.77]), torch.tensor([0.123])
    rounded_factor, rounded_shift = norm(factor, shift, torch.tensor(1.0))
    assert float(rounded_factor) != float(factor) and float(rounded_shift) != float(shift)
    assert float(rounded_factor) == pytest.approx(0.77, rel=2.0**-2)
    assert float(FixedPointBatchNorm(bits=16)(factor, shift, torch.tensor(1e-3))[0]) == pytest.approx(0.77, rel=1e-4)


def test_linear_layers_are_quantized():
    linear = _prepared(ON)[3]
    assert isinstance(linear, QuantLayer) and len(linear.weight_quantizer(linear.weight).unique()) <= 4


ALL_LAYERS = "on init:\nby_index: all\n"


@pytest.mark.parametrize("policy", ["", f"{ALL_LAYERS}bit: 1", f"{ALL_LAYERS}by_tag: wt\nenable: True"])
def test_xnor_works_under_policies(policy):
    net = _prepared({"keyword": ["xnor"], "wt_enable": True, "wt_bit": 1.0, "fm_enable": True, "fm_bit": 1.0}, policy)
    x = torch.rand(2, 3, 8, 8)
    net(x).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in net.parameters() if p.grad is not None)
    assert len(net[0].weight_quantizer(net[0].weight).detach().abs().unique()) == 1


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"keyword": ["lsqq"]}, ValueError, "lsqq.*lsq"),
        ({"scope": ["nowhere"]}, ValueError, "nowhere"),
        ({"fm_bits": 2.0}, ValueError, "fm_bits.*fm_bit"),
        ({"wt_adaptive": "never-heard"}, ValueError, "never-heard"),
    ],
)
def test_nothing_unknown_goes_by_in_silence(change, error, message):
    with pytest.raises(error, match=message):
        translate_legacy({**ON, **change}, layer_names=["0", "3"])


def test_a_missing_policy_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="policy"):
        translate_legacy({**ON, "policy": str(tmp_path / "none.txt")}, layer_names=["0", "3"])


def test_a_rule_that_matches_nothing_is_an_error():
    config = QuantConfig.from_mapping({"RULES": [{"NAME": "bakbone.*", "WEIGHT": {"BITS": 4}}]})
    with pytest.raises(ValueError, match="bakbone"):
        prepare(_net(), config)
    assert not list(quantizers(_net()))
