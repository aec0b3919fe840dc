"""How the first data set the range and the sign."""

import pytest
import torch

from third_party.quantization.quantizers import AffineQuantizer, build_quantizer
from third_party.quantization.spec import AQDSpec, LSQPlusSpec, LSQSpec, MinMaxSpec, PACTSpec, QuantSpec, Role

from .cases import Case, data, make, one_case_each

METHODS = [AQDSpec, LSQSpec, MinMaxSpec, PACTSpec]


@pytest.mark.parametrize("method", METHODS)
def test_the_range_is_the_mean_over_the_batches(method: type[QuantSpec]) -> None:
    quantizer = build_quantizer(method(bits=4, initial_range="max", warmup_batches=3), Role.ACTIVATION)
    for i, top in enumerate((1.0, 2.0, 6.0)):
        assert quantizer.batches_seen == i
        quantizer(torch.linspace(0, top, 5))
    assert float(quantizer.grid().levels()[-1]) == pytest.approx(3.0)
    quantizer(torch.linspace(0, 100, 5))
    assert float(quantizer.grid().levels()[-1]) == pytest.approx(3.0) and quantizer.batches_seen == 3


@pytest.mark.parametrize("method", [MinMaxSpec, LSQPlusSpec])
def test_both_ends_are_averaged(method: type[QuantSpec]) -> None:
    spec = method(bits=8, symmetric=False, initial_range="max", warmup_batches=2)
    quantizer = build_quantizer(spec, Role.ACTIVATION)
    quantizer(torch.tensor([-1.0, 2.0]))
    quantizer(torch.tensor([-3.0, 4.0]))
    levels = quantizer.grid().levels()
    step = 5 / 255
    assert float(levels[0]) == pytest.approx(-2.0, abs=step) and float(levels[-1]) == pytest.approx(3.0, abs=step)
    assert float(levels[1] - levels[0]) == pytest.approx(step, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_the_sign_is_found_from_data(method: type[QuantSpec]) -> None:
    quantizer = build_quantizer(method(bits=4, initial_range="max", warmup_batches=2), Role.ACTIVATION)
    assert isinstance(quantizer, AffineQuantizer)
    quantizer(torch.tensor([0.0, 2.0]))
    assert not quantizer.signed and float(quantizer.grid().levels()[0]) == 0.0
    quantizer(torch.tensor([-4.0, 1.0]))
    assert quantizer.signed and quantizer.levels.low < 0
    # The range of the batch without sign counts as it was.
    assert float(quantizer.grid().levels()[-1]) == pytest.approx(3.0)


def test_a_given_sign_is_kept() -> None:
    quantizer = build_quantizer(LSQSpec(bits=4, signed=False), Role.ACTIVATION)
    assert quantizer(torch.tensor([-1.0, 1.0]))[0] == 0.0 and not quantizer.signed
    signed = build_quantizer(LSQSpec(bits=4, signed=True), Role.ACTIVATION)
    signed(torch.tensor([0.0, 1.0]))
    assert signed.signed


@pytest.mark.parametrize("method", METHODS)
def test_reset_forgets_range_and_sign(method: type[QuantSpec]) -> None:
    quantizer = build_quantizer(method(bits=4, initial_range="max"), Role.ACTIVATION)
    quantizer(torch.tensor([-4.0, 1.0]))
    quantizer.reset_range()
    assert not quantizer.initialized
    quantizer(torch.tensor([0.0, 15.0]))
    assert quantizer.grid().levels().tolist() == pytest.approx(list(range(16)))


def test_weights_set_their_range_in_evaluation_too() -> None:
    quantizer = build_quantizer(LSQSpec(bits=4), Role.WEIGHT).eval()
    with torch.inference_mode():
        quantizer(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
    assert quantizer.batches_seen == 1
    w = torch.ones(4, 4, requires_grad=True)
    quantizer.train()(w).sum().backward()
    assert quantizer.scale.grad is not None


def test_evaluation_does_not_observe_activations() -> None:
    quantizer = build_quantizer(LSQSpec(bits=4, warmup_batches=5), Role.ACTIVATION)
    quantizer(torch.ones(3))
    before = float(quantizer.scale)
    quantizer.eval()(100 * torch.ones(3))
    assert float(quantizer.scale) == before and quantizer.batches_seen == 1


@one_case_each
def test_a_shared_module_may_be_called_twice_during_the_warm_up(case: Case) -> None:
    quantizer = make(*case)
    a, b = data(*case).requires_grad_(), data(*case, seed=1).requires_grad_()
    quantizer.spec.__dict__["warmup_batches"] = 4
    (quantizer(a).sum() + quantizer(b).sum()).backward()
    assert a.grad is not None and bool(a.grad.isfinite().all()) and b.grad is not None


def test_loading_restores_bits_and_sign_without_rescaling() -> None:
    trained = build_quantizer(LSQSpec(bits=8), Role.ACTIVATION)
    trained(torch.tensor([-1.0, 1.0]))
    trained.set_bits(4)
    fresh = build_quantizer(LSQSpec(bits=8), Role.ACTIVATION)
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh.grid().levels(), trained.grid().levels()) and fresh.bits == 4 and fresh.signed
