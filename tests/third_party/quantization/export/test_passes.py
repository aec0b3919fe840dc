"""Each pass on a graph where it matters; none changes what is computed."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from third_party.quantization.export import PASSES, normalise, simulate, trace
from third_party.quantization.export.nodes import FAKE_QUANTIZE, fake_quantizations, tensor_names

from .models import Wrapped, everything


class Quantize(nn.Module):
    """A quantizer with a fixed range."""

    def __init__(self, step: float = 0.1, zero_point: float = 0.0, low: int = -128, high: int = 127) -> None:
        super().__init__()
        self.register_buffer("step", torch.tensor(step))
        self.register_buffer("zero_point", torch.tensor(zero_point))
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        return FAKE_QUANTIZE(x, self.step, self.zero_point, self.low, self.high, None, False, 1.0, False)


def program_of(function, *inputs: Tensor, **modules: nn.Module):
    return trace(Wrapped(function, **modules), inputs, normalised=False)


def check(program, names: list[str], count: int, x: Tensor) -> None:
    """The passes of these names change so much, and nothing of what is computed."""
    before, _ = simulate(program, (x,))
    assert sum(PASSES[name](program) for name in names) == count
    program.graph.eliminate_dead_code()
    program.graph.lint()
    program.graph_module.recompile()
    after, _ = simulate(program, (x,))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, _call(program, x), strict=True))


def _call(program, x: Tensor) -> list[Tensor]:
    result = program.module()(x)
    return [result] if isinstance(result, Tensor) else list(result)


X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def test_equal_quantizations_become_one():
    program = program_of(
        lambda m, x: m.a(x).relu() + m.b(x).neg() + m.c(x), X, a=Quantize(), b=Quantize(), c=Quantize(0.2)
    )
    check(program, ["merge"], 1, X)
    assert len(list(fake_quantizations(program))) == 2


@pytest.mark.parametrize(
    "function",
    (
        lambda m, x: m.b(m.a(x)),
        lambda m, x: m.b(F.max_pool2d(m.a(x), 2)),
        lambda m, x: m.b(torch.cat([m.a(x), m.a(x[:, :2])], 1)),
        lambda m, x: m.b(m.a(x).chunk(2, 1)[1].permute(0, 2, 3, 1).flatten(1)),
        lambda m, x: m.b(F.interpolate(m.a(x), scale_factor=2.0)),
    ),
)
def test_repeats_go(function):
    program = program_of(function, X, a=Quantize(), b=Quantize())
    count = len(list(fake_quantizations(program)))
    check(program, ["remove_repeats"], 1, X)
    assert len(list(fake_quantizations(program))) == count - 1


@pytest.mark.parametrize(
    "function",
    (
        lambda m, x: m.b(m.a(x) + 1),
        lambda m, x: m.b(F.avg_pool2d(m.a(x), 2)),
        lambda m, x: m.b(torch.cat([m.a(x), x], 1)),
        lambda m, x: m.b(F.pad(m.a(x), (1, 1), value=0.05)),
        lambda m, x: m.c(m.a(x)),
    ),
)
def test_what_is_no_repeat_stays(function):
    program = program_of(function, X, a=Quantize(), b=Quantize(), c=Quantize(0.1, 1.0))
    check(program, ["remove_repeats"], 0, X)


@pytest.mark.parametrize("half", (lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: F.interpolate(x, scale_factor=2.0)))
def test_quantization_goes_before_steps_that_choose(half):
    def function(m, x):
        y = x.neg()
        return m.a(half(y)), m.b(y)

    program = program_of(function, X, a=Quantize(), b=Quantize())
    check(program, ["hoist", "merge", "remove_repeats"], 3, X)
    (node,) = fake_quantizations(program)
    assert str(node.args[0].target) == "aten.neg.default"


def test_quantization_of_an_input_stands_behind_all_inputs():
    program = trace(Wrapped(lambda m, x, y: m.a(x[:, :2]) + y, a=Quantize()), (X, X[:, :2]))
    (node,) = fake_quantizations(program)
    assert node.args[0].op == "placeholder"
    torch.testing.assert_close(program.module()(X, X[:, :2]), Quantize()(X)[:, :2] + X[:, :2])


def test_quantization_stays_where_the_tensor_is_also_read_in_float():
    program = program_of(lambda m, x: (m.a(F.max_pool2d(x, 2)), x + 1), X, a=Quantize())
    check(program, ["hoist"], 0, X)


def test_a_tensor_also_read_in_float_is_quantized_once():
    def function(m, x):
        y = x.neg()
        return m.a(y), m.b(F.max_pool2d(y, 1, 2)), y + 1

    program = program_of(function, X, a=Quantize(), b=Quantize())
    expected = program.module()(X)
    normalise(program)
    (node,) = fake_quantizations(program)
    assert str(node.args[0].target) == "aten.neg.default"
    torch.testing.assert_close(program.module()(X), expected, rtol=0, atol=0)


def test_parts_of_one_tensor_are_quantized_before_they_part():
    def function(m, x):
        first, second = x.neg().chunk(2, 1)
        return m.a(first) - m.b(second)

    program = program_of(function, X, a=Quantize(), b=Quantize())
    normalise(program)
    (node,) = fake_quantizations(program)
    assert str(node.args[0].target) == "aten.neg.default"
    torch.testing.assert_close(program.module()(X), Quantize()(-X[:, :2]) - Quantize()(-X[:, 2:]), rtol=0, atol=0)


@pytest.mark.parametrize(
    "clip, quantize, count",
    (
        (torch.relu, Quantize(low=0, high=255), 1),
        (torch.relu, Quantize(zero_point=3.0, low=0, high=255), 0),
        (F.relu6, Quantize(0.02, low=0, high=255), 1),
        (F.relu6, Quantize(0.03, low=0, high=255), 0),
        (lambda x: F.hardtanh(x, -0.5, 0.5), Quantize(0.001), 1),
        (F.hardtanh, Quantize(0.1), 0),
        (lambda x: x.clamp(min=-1.0), Quantize(0.001), 1),
        (torch.tanh, Quantize(0.001), 0),
    ),
)
def test_clipping_that_quantization_does_goes(clip, quantize, count):
    program = program_of(lambda m, x: m.q(clip(x)), X, q=quantize)
    check(program, ["drop_clipping"], count, X)


def test_clipping_stays_for_other_readers():
    def function(m, x):
        y = x.relu()
        return m.q(y), y + 1

    check(program_of(function, X, q=Quantize(low=0, high=255)), ["drop_clipping"], 0, X)


def test_a_tied_model_quantizes_each_tensor_once():
    from .models import SIZES, images

    program = trace(everything(), (images(),), SIZES, normalised=False)
    before = len(list(fake_quantizations(program)))
    normalise(program)
    nodes = list(fake_quantizations(program))
    assert len(nodes) < before and len({node.args[0] for node in nodes}) == len(nodes)
    assert len(set(tensor_names(program).values())) == len(nodes)
