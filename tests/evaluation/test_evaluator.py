"""The loop over a data set, and several evaluators at once."""

import logging

import pytest
import torch
from torch import nn

from detectron2.evaluation import DatasetEvaluator, DatasetEvaluators, inference_context, inference_on_dataset
from detectron2.utils import logger as d2_logger


class _Sum(DatasetEvaluator):
    def __init__(self, name="sum"):
        self.name = name
        self.total = -1

    def reset(self):
        self.total = 0

    def process(self, inputs, outputs):
        self.total += sum(outputs)

    def evaluate(self):
        return {self.name: {"total": self.total}} if self.name else None


class _Double(nn.Module):
    def forward(self, inputs):
        assert not self.training and not torch.is_grad_enabled()
        return [2 * x for x in inputs]


def test_inference(caplog, monkeypatch):
    # progress is logged every five seconds, across inferences
    monkeypatch.setattr(d2_logger, "_LOG_TIMES", {})
    caplog.set_level(logging.INFO)
    model = _Double().train()
    calls = []
    names = ["on_start", "before_inference", "after_inference", "on_end"]
    callbacks = {name: (lambda n: lambda: calls.append(n))(name) for name in names}
    results = inference_on_dataset(model, [[i] for i in range(8)], [_Sum("a"), _Sum("b"), _Sum("")], callbacks)
    assert results == {"a": {"total": 56}, "b": {"total": 56}}
    assert model.training and torch.is_grad_enabled()
    assert calls == ["on_start"] + ["before_inference", "after_inference"] * 8 + ["on_end"]
    assert "Inference done 6/8." in caplog.text and "ETA=" in caplog.text


@pytest.mark.parametrize("batches", [[], [[1]], iter([[1], [2]])])
def test_any_iterable(batches):
    assert set(inference_on_dataset(lambda x: x, batches, _Sum())) == {"sum"}


def test_without_evaluator():
    assert inference_on_dataset(_Double(), [[1]], None) == {}
    assert inference_on_dataset(_Double(), [[1]], _Sum("")) == {}


def test_unknown_callback():
    with pytest.raises(ValueError, match="before_inferenec.*before_inference"):
        inference_on_dataset(_Double(), [], None, {"before_inferenec": print})


def test_same_name_twice():
    evaluators = DatasetEvaluators([_Sum(), _Sum()])
    evaluators.reset()
    with pytest.raises(ValueError, match=r"\['sum'\]"):
        evaluators.evaluate()


@pytest.mark.parametrize("training", [True, False])
def test_context_restores_the_mode_after_an_error(training):
    model = nn.Sequential(nn.Dropout()).train(training)
    with pytest.raises(KeyError), inference_context(model):
        assert not model[0].training
        raise KeyError
    assert model.training is model[0].training is training
