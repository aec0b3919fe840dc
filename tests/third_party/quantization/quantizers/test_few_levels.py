"""What holds for every method with few levels: degenerate data, state, levels, and that training works."""

import pytest
import torch
from torch import nn

from third_party.quantization.quantizers.registry import QUANTIZERS, build_quantizer
from third_party.quantization.spec import (
    BinaryMeanSpec,
    BiRealSpec,
    LearnedThresholdSpec,
    LQNetSpec,
    Role,
    TTQSpec,
    XNORPlusPlusSpec,
    XNORSpec,
    spec_from_mapping,
)

SPECS = [
    LQNetSpec(bits=2),
    XNORSpec(),
    XNORPlusPlusSpec(),
    BiRealSpec(),
    BinaryMeanSpec(),
    TTQSpec(),
    TTQSpec(tied=True),
    LearnedThresholdSpec(levels=2, bits=1),
    LearnedThresholdSpec(levels=3),
    LearnedThresholdSpec(levels=4, grid="interval"),
]
CASES = [(spec, role) for spec in SPECS for role in Role if role in spec.roles]
cases = pytest.mark.parametrize(("spec", "role"), CASES, ids=lambda v: v.value if isinstance(v, Role) else v.method)


def replaced(spec, **settings):
    return spec_from_mapping({**spec.as_dict(), **settings})


@cases
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("value", [0.0, 2.5, -2.5, 1e-30, 1e15])
def test_data_of_one_value_give_finite_results(spec, role, granularity, value):
    quantizer = build_quantizer(replaced(spec, granularity=granularity), role, 3, 1)
    x = torch.full((2, 3, 4, 4), value, requires_grad=True)
    out = quantizer(x)
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in quantizer.parameters())
    assert quantizer.grid().levels().isfinite().all()


@cases
def test_state_travels_with_the_weights(spec, role):
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    first, second = (build_quantizer(replaced(spec, granularity="channel"), role, 3, 1) for _ in range(2))
    first(x)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.eval()(x), second.eval()(x))


@cases
def test_half_precision_input(spec, role):
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    quantizer = build_quantizer(spec, role, 3, 1)
    out = quantizer(x)
    out.sum().backward()
    assert out.dtype == x.grad.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), quantizer.eval()(x.float()), rtol=1e-2, atol=1e-2)


@cases
def test_a_module_may_be_used_twice_in_a_step_of_the_warm_up(spec, role):
    quantizer = build_quantizer(replaced(spec, warmup_batches=4), role, 3, 1)
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (quantizer(x) + quantizer(2 * x)).sum().backward()
    assert x.grad.isfinite().all()


@cases
def test_fifty_steps_reduce_the_loss(spec, role):
    torch.manual_seed(0)
    x = torch.randn(64, 8)
    target = x @ torch.randn(8, 4)
    first, last = nn.Linear(8, 32), nn.Linear(32, 4)
    # Parameters of the quantizers exist before the first data do.
    quantizer = build_quantizer(spec, role, 32, 1)
    parameters = [*first.parameters(), *last.parameters(), *quantizer.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9)
    losses = []
    for _ in range(50):
        hidden, weight = first(x).tanh(), last.weight
        if role is Role.WEIGHT:
            weight = quantizer(weight)
        else:
            hidden = quantizer(hidden)
        loss = nn.functional.mse_loss(nn.functional.linear(hidden, weight, last.bias), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses[-5:]) < 0.6 * losses[0]


def test_all_are_registered():
    for spec, role in CASES:
        assert (type(spec), role) in QUANTIZERS
