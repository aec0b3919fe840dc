"""Which layer costs how much."""

import json
import math

import pytest
import torch

from tests.third_party.quantization.ptq.nets import loss, prepared_net
from third_party.quantization.ptq.choice.sensitivity import SensitivityRow, SensitivityTable, sensitivity
from third_party.quantization.transform import quantizers


def _switch(model, names):
    for name, quantizer in quantizers(model):
        quantizer.set_enabled(names is None or any(name.startswith(f"{wanted}.") for wanted in names))


def _mean_loss(model, batches, names):
    _switch(model, names)
    with torch.no_grad():
        value = sum(loss(model, batch) for batch in batches) / len(batches)
    _switch(model, None)
    return value


def test_each_row_is_the_loss_with_that_layer_alone_quantized():
    model, batches = prepared_net(bits=3)
    table = sensitivity(model, batches, loss)
    assert table.batches == 2 and {row.name for row in table.rows} == {
        *("stem.0", "left", "right.0", "right.2", "head.0", "head.2", "unused")
    }
    assert table.float_loss == pytest.approx(_mean_loss(model, batches, []), rel=1e-6)
    assert table.quantized_loss == pytest.approx(_mean_loss(model, batches, None), rel=1e-6)
    for row in table.rows:
        assert row.bits == "W3A3"
        assert row.loss == pytest.approx(_mean_loss(model, batches, [row.name]), rel=1e-6)
        assert row.change == pytest.approx(row.loss - table.float_loss, abs=1e-9)
    changes = [row.change for row in table.rows]
    assert changes == sorted(changes, reverse=True) and changes[0] != changes[-1]
    assert next(row for row in table.rows if row.name == "unused").change == 0
    assert all(quantizer.enabled for _, quantizer in quantizers(model))
    assert json.loads(json.dumps(table.to_dict()))["verdict"] == table.verdict()


def test_tensors_alone():
    model, batches = prepared_net(bits=3)
    table = sensitivity(model, batches, loss, parts="tensor")
    rows = {row.name: row for row in table.rows}
    assert len(rows) == 14 and rows["left.weight"].bits == "W3" and rows["left.input"].bits == "A3"
    model.left.weight_quantizer.set_enabled(False)
    only_input = _mean_loss_of(model, batches, model.left.input_quantizer)
    assert rows["left.input"].loss == pytest.approx(only_input, rel=1e-6)
    with pytest.raises(ValueError, match="parts must be one of layer, tensor"):
        sensitivity(model, batches, loss, parts="layers")


def _mean_loss_of(model, batches, wanted):
    for _, quantizer in quantizers(model):
        quantizer.set_enabled(quantizer is wanted)
    with torch.no_grad():
        return sum(loss(model, batch) for batch in batches) / len(batches)


def test_a_tensor_that_two_layers_read_counts_for_both():
    model, batches = prepared_net(bits=3)
    model.right[0].input_quantizer = model.left.input_quantizer
    rows = {row.name: row for row in sensitivity(model, batches, loss, parts="tensor").rows}
    expected = _mean_loss_of(model, batches, model.left.input_quantizer)
    assert rows["left.input = right.0.input"].loss == pytest.approx(expected, rel=1e-6)


def test_the_layer_that_ruins_the_model_is_named():
    model, batches = prepared_net(bits=8)
    with torch.no_grad():
        model.right[2].weight_quantizer.scale.mul_(200)
    table = sensitivity(model, batches, loss)
    assert [row.name for row in table.culprits()] == ["right.2"]
    assert "right.2 (W8A8" in table.verdict()


def test_culprits_are_the_fewest_that_make_up_the_share():
    changes = {"a": 5, "b": 3, "c": 2, "d": -1}
    rows = tuple(SensitivityRow(name, "W8A8", 1 + change, change) for name, change in changes.items())
    table = SensitivityTable(1.0, 9.0, rows, 1, 0.0)
    assert [row.name for row in table.culprits(0.5)] == ["a"]
    assert [row.name for row in table.culprits(0.51)] == ["a", "b"]
    assert [row.name for row in table.culprits(1.0)] == ["a", "b", "c"]
    harmless = SensitivityTable(1.0, 0.9, rows[3:], 1, 0.0)
    assert harmless.culprits() == [] and "No layer stands out" in harmless.verdict()


def test_bad_input():
    model, batches = prepared_net()
    with pytest.raises(ValueError, match="no batch"):
        sensitivity(model, [], loss)
    with pytest.raises(ValueError, match="loss of the model on batch 0 is nan"):
        sensitivity(model, batches, lambda *_: math.nan)
    with pytest.raises(ValueError, match="no quantized layer"):
        sensitivity(torch.nn.ReLU(), batches, loss)


def test_time_is_kept():
    model, batches = prepared_net()
    assert sensitivity(model, batches * 50, loss, max_seconds=0.0).batches == 1
