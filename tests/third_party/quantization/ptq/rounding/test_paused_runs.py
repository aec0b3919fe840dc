"""Runs that wait for each other in front of layers."""

import threading

import pytest
import torch
from torch import nn

from third_party.quantization.ptq.rounding.paused_runs import held_bytes, paused_runs


def network():
    return nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)).eval()


def test_each_run_stops_at_each_layer_and_a_change_there_counts():
    model, outputs = network(), {}
    inputs = [torch.randn(2, 3, 4, 4), torch.randn(1, 3, 4, 4)]
    runs = [lambda i=i, x=x: outputs.update({i: model(x)}) for i, x in enumerate(inputs)]
    with paused_runs(model, runs, ["0", "2"]) as made:
        stops = [run.advance() for run in made]
        assert [stop.name for stop in stops] == ["0", "0"]
        assert all(torch.equal(stop.args[0], x) for stop, x in zip(stops, inputs, strict=True))
        assert [run.advance().name for run in made] == ["2", "2"] and not outputs
        model[2].weight.data.mul_(2)
        model(inputs[0])  # of the thread that changes it: stops nowhere
        assert [run.advance() for run in made] == [None, None]
        assert [run.advance() for run in made] == [None, None]
    for i, x in enumerate(inputs):
        assert not outputs[i].requires_grad
        torch.testing.assert_close(outputs[i], model(x))


def test_runs_end_with_the_block_wherever_they_are():
    model, before = network(), threading.active_count()
    done = []
    with (
        pytest.raises(RuntimeError, match="mine"),
        paused_runs(model, [lambda: done.append(model(torch.zeros(1, 3, 2, 2)))] * 3, ["0", "3"]) as made,
    ):
        made[0].advance()
        made[1].advance()
        made[1].advance()
        raise RuntimeError("mine")
    assert threading.active_count() == before and not done
    assert not model[0]._forward_pre_hooks


def test_what_a_run_raises_comes_out():
    model = network()
    with paused_runs(model, [lambda: model(torch.zeros(1, 5, 2, 2))], ["0"]) as (run,):
        assert run.advance().name == "0"
        with pytest.raises(RuntimeError, match="channels"):
            run.advance()
        assert run.advance() is None


class Skipping(nn.Module):
    """Holds its first map to the end."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(1, 1, 1) for _ in range(5))

    def forward(self, x):
        first = y = self.layers[0](x)
        for layer in self.layers[1:]:
            y = layer(y)
        return first + y


def test_memory_is_that_of_what_is_still_needed():
    model, x = Skipping().eval(), torch.zeros(1, 1, 16, 16)
    with torch.no_grad():
        assert held_bytes(model, lambda: model(x)) == 2 * 16 * 16 * 4
