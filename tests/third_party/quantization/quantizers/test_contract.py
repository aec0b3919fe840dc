"""What every method promises, run over the registry."""

import copy
import dataclasses

import pytest
import torch

from third_party.quantization.grids import CodebookGrid
from third_party.quantization.quantizers import QUANTIZERS, build_quantizer
from third_party.quantization.spec import METHODS, ImageSpec, Role

from .cases import CASES, Case, all_cases, data, make, one_case_each


def test_every_method_has_a_quantizer_and_a_case() -> None:
    wanted = {(spec_type, role) for spec_type in METHODS.values() for role in spec_type.roles}
    assert set(QUANTIZERS) == wanted
    assert {(type(spec), role) for spec, role in CASES} == wanted


@all_cases
def test_output_lies_on_the_grid_and_codes_give_it_back(case: Case) -> None:
    quantizer, x = make(*case), data(*case)
    y = quantizer(x)
    grid = quantizer.grid()
    codes = quantizer.integers(x)
    assert codes.dtype == torch.int32 and codes.shape == x.shape
    low, high = grid.code_range
    assert low <= int(codes.min()) and int(codes.max()) <= high
    assert torch.equal(grid.values(codes), y.detach())
    assert grid.bits == quantizer.bits
    assert grid.levels().shape[-1] <= 2**quantizer.bits
    assert bool((grid.levels().diff(dim=-1) > 0).all())
    assert y.unique().numel() > 1


@all_cases
def test_state_dict_makes_an_equal_quantizer(case: Case) -> None:
    trained, x = make(*case), data(*case)
    trained(x)
    trained.set_frozen(True)
    fresh = make(*case)
    fresh.load_state_dict(trained.state_dict())
    assert (fresh.bits, fresh.batches_seen, fresh.signed) == (trained.bits, trained.batches_seen, trained.signed)
    assert fresh.frozen and not any(parameter.requires_grad for parameter in fresh.parameters())
    assert torch.equal(fresh.eval()(x), trained.eval()(x))


@all_cases
def test_copies_are_independent(case: Case) -> None:
    quantizer, x = make(*case), data(*case)
    quantizer(x)
    y = quantizer.eval()(x).detach()
    twin = copy.deepcopy(quantizer)
    assert torch.equal(twin(x).detach(), y)
    for tensor in twin.state_dict().values():
        if tensor.is_floating_point():
            tensor.mul_(3.0)
    assert torch.equal(quantizer(x).detach(), y)


@one_case_each
def test_disabled_hands_tensors_through(case: Case) -> None:
    quantizer, x = make(*case), data(*case) + 0.01
    quantizer.set_enabled(False)
    assert quantizer(x) is x and (quantizer.batches_seen == 0 or isinstance(case[0], ImageSpec))
    fresh = make(*case)
    fresh.load_state_dict(quantizer.state_dict())
    assert fresh(x) is x
    quantizer.set_enabled(True)
    assert not torch.equal(quantizer(x).detach(), x)


@one_case_each
def test_frozen_ranges_do_not_move(case: Case) -> None:
    quantizer, x = make(*case), data(*case)
    quantizer(x)
    before = {name: tensor.clone() for name, tensor in quantizer.state_dict().items()}
    quantizer.set_frozen(True)
    inputs = (5 * data(*case, seed=1)).requires_grad_()
    quantizer.observe(inputs)
    quantizer(inputs).sum().backward()
    assert all(parameter.grad is None for parameter in quantizer.parameters())
    quantizer.set_frozen(False)
    assert all(parameter.requires_grad for parameter in quantizer.parameters())
    before["state"][4] = 0
    for name, tensor in quantizer.state_dict().items():
        if name != "state" or case[0].method != "lq_net":
            assert torch.equal(tensor, before[name]), name


@one_case_each
def test_gradients_reach_the_input_and_every_parameter(case: Case) -> None:
    quantizer, x = make(*case), data(*case).requires_grad_()
    torch.manual_seed(0)
    y = quantizer(x)
    (y * torch.randn_like(y)).sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all()) and bool((x.grad != 0).any())
    for name, parameter in quantizer.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name


@all_cases
@pytest.mark.parametrize("fill", [0.0, 3.0, -2.0, 1e-30, 1e15], ids=str)
def test_tensors_of_one_value_give_finite_levels(case: Case, fill: float) -> None:
    quantizer, x = make(*case), torch.full_like(data(*case), fill).requires_grad_()
    y = quantizer(x)
    y.sum().backward()
    assert bool(y.isfinite().all()) and x.grad is not None and bool(x.grad.isfinite().all())
    levels = quantizer.grid().levels()
    assert bool(levels.isfinite().all())
    # Levels that are fitted to the values may coincide when there is only one.
    assert bool((levels.diff(dim=-1) > 0).all()) or isinstance(quantizer.grid(), CodebookGrid)
    for parameter in quantizer.parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all())


@one_case_each
def test_one_single_value(case: Case) -> None:
    spec, role = case
    pixels = {"mean": (128.0,), "std": (1.0,)} if isinstance(spec, ImageSpec) else {}
    quantizer = build_quantizer(dataclasses.replace(spec, granularity="tensor", **pixels), role)
    y = quantizer(torch.tensor([[[[2.0]]]]))
    assert y.shape == (1, 1, 1, 1) and bool(y.isfinite().all())


@one_case_each
def test_empty_activations_pass_and_leave_the_range_to_others(case: Case) -> None:
    if case[1] is Role.WEIGHT:
        pytest.skip("weights are not empty")
    quantizer, x = make(*case), data(*case)
    empty = x[:, :, :0]
    assert quantizer(empty).shape == empty.shape
    assert quantizer.batches_seen == 0 or isinstance(case[0], ImageSpec)
    quantizer(x)
    assert quantizer(empty).shape == empty.shape


@one_case_each
@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_a_range_is_never_set_from_infinite_values(case: Case, value: float) -> None:
    if isinstance(case[0], ImageSpec):
        pytest.skip("images have their range without data")
    quantizer, x = make(*case), data(*case)
    x[0, 0, 0, 0] = value
    with pytest.raises(FloatingPointError, match=case[0].method):
        quantizer(x)
    assert not quantizer.initialized


@one_case_each
def test_half_precision_in_and_out(case: Case) -> None:
    quantizer, x = make(*case), data(*case)
    quantizer(x)
    y = quantizer.eval()(x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, quantizer.grid().values(quantizer.integers(x.bfloat16())).bfloat16())


def test_activations_cannot_be_predicted_without_a_range() -> None:
    for spec, role in CASES:
        if role is Role.ACTIVATION and not isinstance(spec, ImageSpec):
            with pytest.raises(RuntimeError, match="no range yet"):
                make(spec, role).eval()(data(spec, role))
