"""The message about a loss that is not finite."""

import pytest
import torch
from torch import nn

from detectron2.engine.train_loop import AMPTrainer, SimpleTrainer
from detectron2.modeling import build_model
from tests.engine.toy import ToyDetector, batches, detection_sample
from tests.modeling.tiny_models import tiny_config


def _poisoned(at: int, poison):
    """Batches, the one at an index spoilt."""
    for index, batch in enumerate(batches(2)):
        yield poison(batch) if index == at else batch


def _nan_image(batch):
    batch[1]["image"][0, 0, 0] = float("nan")
    return batch


@pytest.mark.parametrize("cls", [SimpleTrainer, AMPTrainer])
@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_message_names_iteration_rate_images_and_module(cls, accumulation_steps):
    model = ToyDetector(dropout=0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0125)
    kwargs = {"precision": torch.bfloat16} if cls is AMPTrainer else {}
    trainer = cls(model, _poisoned(4, _nan_image), optimizer, accumulation_steps=accumulation_steps, **kwargs)
    with pytest.raises(FloatingPointError) as caught:
        trainer.train(0, 10)
    message = str(caught.value)
    assert f"iteration {4 // accumulation_steps}" in message
    assert "0.0125" in message
    assert "image_8.png" in message and "image_9.png" in message
    assert "conv (Conv2d; its input is not finite already)" in message


class _DividesInTheLoss(ToyDetector):
    def forward(self, batch):
        return {name: loss / 0.0 for name, loss in super().forward(batch).items()}


class _LogOfZero(nn.Module):
    def forward(self, x):
        return torch.log(x * 0.0)


def _with_log_of_zero():
    model = ToyDetector()
    model.head = nn.Sequential(model.head, _LogOfZero())
    return model


def _with_bad_weight():
    model = ToyDetector()
    model.head.weight.data[0, 0] = float("inf")
    return model


@pytest.mark.parametrize(
    "build, culprit",
    [
        (_DividesInTheLoss, "the model itself (_DividesInTheLoss)"),
        (_with_log_of_zero, "head.1 (_LogOfZero)"),
        (_with_bad_weight, "head (Linear; its parameter 'weight' is not finite)"),
    ],
)
def test_the_innermost_module_is_named(build, culprit):
    model = build()
    trainer = SimpleTrainer(model, batches(), torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(FloatingPointError) as caught:
        trainer.train(0, 3)
    assert culprit in str(caught.value) and "iteration 0" in str(caught.value)


@pytest.mark.parametrize("last", [False, True])
def test_asynchronous_metrics_fail_too(last):
    model = ToyDetector()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = SimpleTrainer(model, _poisoned(1, _nan_image), optimizer, async_write_metrics=True)
    # the thread is asked at the next step, or at the end of the training
    with pytest.raises(FloatingPointError, match="image_2.png") as caught:
        trainer.train(0, 2 if last else 10)
    assert "iteration 1" in str(caught.value) and "stepped already" in str(caught.value)


@pytest.mark.parametrize("name", ["faster_rcnn_fpn_tiny", "retinanet_tiny"])
def test_detectors_that_check_themselves(name):
    def loader():
        yield [detection_sample(1, 2)]
        sample = detection_sample(2, 2)
        yield [{**sample, "image": sample["image"] * float("nan")}]

    model = build_model(tiny_config(name))
    trainer = SimpleTrainer(model, loader(), torch.optim.SGD(model.parameters(), lr=1e-4))
    with pytest.raises(FloatingPointError) as caught:
        trainer.train(0, 2)
    message = str(caught.value)
    assert "iteration 1" in message and "2.png" in message and "0.0001" in message
    assert "backbone.bottom_up.stem.conv1 (Conv2d; its input is not finite already)" in message


def test_a_model_that_fails_the_second_time_does_not_hide_the_message():
    class OnlyOnce(ToyDetector):
        calls = 0

        def forward(self, batch):
            self.calls += 1
            if self.calls > 1:
                raise RuntimeError("no second time")
            return {"loss": super().forward(batch)["loss_color"] * float("inf")}

    model = OnlyOnce()
    trainer = SimpleTrainer(model, batches(), torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(FloatingPointError, match="image_0.png") as caught:
        trainer.train(0, 1)
    assert "no second time" in str(caught.value)


def test_the_weights_are_those_before_the_bad_step():
    model = ToyDetector()
    trainer = SimpleTrainer(model, _poisoned(2, _nan_image), torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(FloatingPointError):
        trainer.train(0, 5)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
