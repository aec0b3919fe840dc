"""What layers cost."""

from tests.third_party.quantization.ptq.nets import prepared_net
from third_party.quantization.ptq.choice.costs import layer_costs


def test_costs_are_those_counted_by_hand():
    model, batches = prepared_net()
    costs = layer_costs(model, lambda: model(batches[0]))
    assert costs["stem.0"].weights == 4 * 3 * 9 and costs["stem.0"].operations == 2 * 64 * 4 * 3 * 9
    assert costs["head.2"].operations == (2 * 64 + 2 * 16 + 2 * 64) * 2 * 4  # called three times
    assert costs["unused"].operations == 0
    assert costs["left"].at(4, 8, "bytes") == 4 * 4 * 9 / 2
    assert costs["left"].at(4, 8, "bit_operations") == 2 * 64 * 4 * 4 * 9 * 8
