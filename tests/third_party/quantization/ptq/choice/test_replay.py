"""Runs from the middle of a model."""

import pytest
import torch
from torch import nn

from tests.third_party.quantization.ptq.nets import prepared_net
from third_party.quantization.ptq.choice.replay import PrefixReplay


class _Counting(nn.Module):
    """Counts how often it really runs."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    def forward(self, x):
        self.runs += 1
        return x + 1


@pytest.mark.parametrize("budget", [0, 1000, 2**30])
def test_any_layer_changed_gives_what_a_whole_run_gives(budget):
    model, batches = prepared_net()
    layers = [m for m in model.modules() if hasattr(m, "weight_quantizer") and m is not model.unused]
    with torch.no_grad(), PrefixReplay(model, budget) as replay:
        before = replay.record(lambda: model(batches[0]))
        assert replay.kept_bytes <= budget
        for layer in layers:
            for enabled in (False, True):
                layer.weight_quantizer.set_enabled(enabled)
                expected = model(batches[0])
                assert torch.equal(replay.run_from(replay.position([layer]), lambda: model(batches[0])), expected)
                assert torch.equal(expected, before) is enabled


def test_what_comes_before_does_not_run_again():
    model = nn.Sequential(_Counting(), nn.Sequential(_Counting(), nn.ReLU(inplace=True), _Counting()), _Counting())
    x = torch.ones(2)
    counted = [m for m in model.modules() if isinstance(m, _Counting)]
    with torch.no_grad(), PrefixReplay(model) as replay:
        whole = replay.record(lambda: model(x))
        assert torch.equal(replay.run_from(replay.position([counted[2]]), lambda: model(x)), whole)
        # The tensor of the second one was changed in place by the next: it is not kept and runs again.
        assert [m.runs for m in counted] == [1, 2, 2, 2]
        replay.run_from(replay.position([counted[3]]), lambda: model(x))
        assert [m.runs for m in counted] == [1, 2, 2, 3]


def test_models_are_left_as_they_were():
    model, batches = prepared_net()
    names = {name: set(m.__dict__) for name, m in model.named_modules()}
    with torch.no_grad(), PrefixReplay(model) as replay:
        replay.record(lambda: model(batches[0]))
        assert replay.position([model.unused]) is None
    assert {name: set(m.__dict__) for name, m in model.named_modules()} == names


def test_another_way_through_the_model_is_refused():
    model = nn.ModuleDict({"a": _Counting(), "b": _Counting(), "c": _Counting()})
    with torch.no_grad(), PrefixReplay(model) as replay:
        replay.record(lambda: [model[name](torch.ones(1)) for name in "abc"])
        with pytest.raises(RuntimeError, match="other modules than before"):
            replay.run_from(2, lambda: [model[name](torch.ones(1)) for name in "bac"])
