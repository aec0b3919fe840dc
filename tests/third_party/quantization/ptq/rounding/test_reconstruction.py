"""Blocks learned to give what they gave in floating point."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from third_party.quantization import convert
from third_party.quantization.ptq.batches import call_model
from third_party.quantization.ptq.rounding import block_learner
from third_party.quantization.ptq.rounding.block_learner import BlockLearner, Sample
from third_party.quantization.ptq.rounding.blocks import find_blocks
from third_party.quantization.ptq.rounding.captured import capture
from third_party.quantization.ptq.rounding.learning import LearningSettings
from third_party.quantization.ptq.rounding.reconstruction import reconstruct

from ..small import calibrated, chooser, error, float_output, images, separable

QUICK = LearningSettings(iterations=50, rows=2, rate=3e-2, range_rate=5e-3)


class Detector(nn.Module):
    """A backbone, and a head that is called for two levels."""

    def __init__(self):
        super().__init__()
        self.backbone = separable(nn.ReLU)
        self.head = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))

    def forward(self, x):
        y = self.backbone(x)
        return [self.head(y), self.head(y[..., ::2, ::2])]


def test_blocks_are_the_outermost_modules_that_are_small_enough():
    model = calibrated(Detector())
    run = lambda: model(images()[0])  # noqa: E731
    whole = find_blocks(model, run)
    assert [(block.name, block.layers, block.calls) for block in whole] == [
        ("backbone", ("0", "1", "2", "3"), 1),
        ("head", ("0", "2"), 2),
    ]
    small = find_blocks(model, run, largest=2)
    assert [block.name for block in small] == ["backbone.0", "backbone.1", "backbone.2", "backbone.3", "head"]
    forced = find_blocks(model, run, largest=1, names=["head"])
    assert [block.name for block in forced] == [*(f"backbone.{i}" for i in range(4)), "head"]
    with pytest.raises(ValueError, match="'neck' matches no module"):
        find_blocks(model, run, names=["neck"])


def test_capture_stops_the_model_and_gives_arguments_and_outputs():
    model = Detector().eval()
    calls = capture(model, model.head, images(), call_model, calls=2)
    assert [tuple(call.args[0].shape[-2:]) for call in calls] == [(12, 12), (6, 6)] * 2
    with torch.no_grad():
        torch.testing.assert_close(calls[1].output, model(images()[0])[1])
    reached = []
    model.head.register_forward_hook(lambda *_: reached.append(1))
    assert capture(model, model.backbone, images(), call_model, outputs=False)[0].output is None and not reached


@pytest.mark.parametrize("largest", [1, 8])
def test_outputs_come_nearer_and_weights_take_neighbouring_levels(largest):
    x = images()[0]
    model = calibrated(nn.Sequential(separable(nn.ReLU)), bits=3)
    plain, reference = copy.deepcopy(model), float_output(model, x)
    rows = reconstruct(model, images(), settings=replace(QUICK, largest=largest))
    names = ["0.0", "0.1", "0.2", "0.3"]
    assert [row["layers"] for row in rows] == ([names] if largest == 8 else [[name] for name in names])
    assert all(row["after"] < row["before"] for row in rows if row["kept"]) and any(row["kept"] for row in rows)
    assert error(model, reference, x) < 0.8 * error(plain, reference, x)
    for new, old in zip(model[0], plain[0], strict=True):
        codes, nearest = (m.weight_quantizer.integers(m.weight.detach()) for m in (new, old))
        assert int((codes - nearest).abs().max()) <= 1
        assert type(new.weight_quantizer) is type(old.weight_quantizer)
        assert torch.equal(new.weight_quantizer.scale, old.weight_quantizer.scale)


def test_checkpoints_and_conversion_know_nothing_of_it():
    x = images()[0]
    model = calibrated(separable(nn.ReLU), bits=3)
    keys = list(model.state_dict())
    reconstruct(model, images(), settings=QUICK)
    assert list(model.state_dict()) == keys
    other = calibrated(separable(nn.ReLU), bits=3)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        expected = model(x)
        assert torch.equal(other(x), expected)
        convert(other)
        torch.testing.assert_close(other(x), expected, rtol=1e-3, atol=1e-3)


def learner(drop):
    model = calibrated(separable(nn.ReLU), bits=2)
    x = images()[0]
    exact = float_output(model, x)
    settings = LearningSettings(drop=drop, iterations=10, warmup=1.0, rows=4)
    made = BlockLearner(model, settings, set())
    made.install()
    return model, made, Sample((x,), (x,), exact)


def test_dropping_everything_leaves_activations_in_floating_point():
    _, made, sample = learner(1.0)
    # Soft weights are the float weights at the start, so without activations nothing is lost but clipped weights.
    assert made.error([sample]) < 1e-3 * learner(0.0)[1].error([sample])


def test_dropping_nothing_is_plain_and_half_lies_between():
    model, made, sample = learner(0.0)
    with torch.no_grad():
        assert torch.equal(model(*sample.quantized), model(*sample.quantized))
    half = learner(0.5)[1].error([sample])
    assert learner(1.0)[1].error([sample]) < half < made.error([sample])


def test_a_block_that_gets_worse_stays_as_it_was(monkeypatch):
    model = calibrated(separable(nn.ReLU), bits=8)
    before = copy.deepcopy(model.state_dict())
    monkeypatch.setattr(
        block_learner.BlockLearner,
        "learn",
        lambda self, *_: [r.choice.data.fill_(9.0) for _, r in self._roundings.values()],
    )
    assert [row["kept"] for row in reconstruct(model, images(), settings=QUICK)] == [False] * 4
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_little_memory_means_turns(monkeypatch):
    model = calibrated(Detector(), bits=4)
    seen = []
    learn = BlockLearner.learn
    monkeypatch.setattr(BlockLearner, "learn", lambda self, s, n: (seen.append((len(s), n)), learn(self, s, n))[1])
    settings = LearningSettings(iterations=5, memory=1, largest=2)
    reconstruct(model, images(3), settings=settings, only=["head"])
    assert seen == [(2, 1), (2, 2), (2, 2)]


def test_mistakes_are_named():
    model = calibrated(separable())
    with pytest.raises(ValueError, match="'stem' matches no block; blocks are"):
        reconstruct(model, images(), settings=QUICK, only=["stem"])
    with pytest.raises(ValueError, match="empty"):
        reconstruct(model, [])
    model[0].input_quantizer.reset_range()
    with pytest.raises(ValueError, match="calibrate the model before its weights.*0.input_quantizer"):
        reconstruct(model, images())
    with pytest.raises(ValueError, match="drop must be a number"):
        LearningSettings(drop=2.0)


@torch.no_grad()
def test_rows_that_the_model_chooses_are_not_paired_with_others():
    model = chooser()
    exact = copy.deepcopy(model.head)
    for quantizer in (exact.input_quantizer, exact.weight_quantizer):
        quantizer.set_enabled(False)
    rows = reconstruct(model, images(4), settings=LearningSettings(iterations=20, drop=0.0))
    head = next(row for row in rows if "head" in row["layers"])
    x = torch.randn(500, 6, generator=torch.Generator().manual_seed(3))
    assert head["before"] < 0.05 * exact(x).var()
