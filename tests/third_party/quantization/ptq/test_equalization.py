"""Weight ranges made equal on both sides of an activation function."""

import pytest
import torch
from torch import nn

from third_party.quantization.ptq.equalization import equalize
from third_party.quantization.ptq.layer_pairs import scalable_pairs

from .small import calibrated, error, float_output, images, prepared, separable


class Branching(nn.Module):
    """The first layer's output is read twice; behind the second lies max pooling; the last goes through SiLU."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.third, self.fourth = nn.Conv2d(4, 6, 3, groups=2), nn.Conv2d(6, 2, 1)
        self.pool, self.relu, self.silu = nn.MaxPool2d(2), nn.ReLU(inplace=True), nn.SiLU()

    def forward(self, x):
        x = self.relu(self.first(x))
        y = self.relu(self.second(x)) + 0 * x.mean()
        return self.fourth(self.silu(self.third(self.pool(y)))), x


def chain():
    """Three layers with ReLU between, channels of very different size."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU(), nn.Conv2d(6, 4, 1))
    with torch.no_grad():
        model[0].weight *= torch.logspace(-2, 1, 6).view(-1, 1, 1, 1)
        model[4].weight *= torch.logspace(1, -1, 6).view(1, -1, 1, 1)
    return model.eval()


def test_pairs_are_found_where_nothing_else_reads_the_tensor():
    model = prepared(chain())
    assert scalable_pairs(model, lambda: model(images()[0])) == [("0", "2"), ("2", "4")]
    model = prepared(separable(nn.SiLU))
    assert scalable_pairs(model, lambda: model(images()[0])) == []
    model = prepared(separable(nn.ReLU))
    assert scalable_pairs(model, lambda: model(images()[0])) == [("0", "1"), ("1", "2"), ("2", "3")]


def test_a_sum_uses_a_tensor_and_pooling_does_not():
    class Plain(Branching):
        def forward(self, x):
            return self.third(self.pool(self.relu(self.second(self.relu(self.first(x))))))

    model = prepared(Plain())
    assert scalable_pairs(model, lambda: model(images()[0])) == [("first", "second"), ("second", "third")]
    model = prepared(Branching())
    assert scalable_pairs(model, lambda: model(images()[0])) == []


def test_one_pair_gets_the_scales_of_the_paper():
    torch.manual_seed(0)
    model = prepared(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)))
    first, second = model[0].weight.detach().clone(), model[2].weight.detach().clone()
    bias = model[0].bias.detach().clone()
    r1, r2 = first.abs().amax((1, 2, 3)), second.abs().amax((0, 2, 3))
    scale = (r1 * r2).sqrt() / r2
    assert equalize(model, lambda: model(images()[0]), rounds=1) == [("0", "2")]
    torch.testing.assert_close(model[0].weight.detach(), first / scale.view(-1, 1, 1, 1))
    torch.testing.assert_close(model[0].bias.detach(), bias / scale)
    torch.testing.assert_close(model[2].weight.detach(), second * scale.view(1, -1, 1, 1))


@pytest.mark.parametrize("batch_norm", ["fold", "float"])
def test_the_float_function_stays_and_norms_must_be_folded(batch_norm):
    model = prepared(separable(nn.ReLU), batch_norm=batch_norm)
    expected = float_output(model, images()[0])
    pairs = equalize(model, lambda: model(images()[0]))
    assert len(pairs) == (3 if batch_norm == "fold" else 0)
    torch.testing.assert_close(float_output(model, images()[0]), expected, rtol=1e-3, atol=1e-4)


def test_one_range_for_a_tensor_becomes_more_exact():
    x = images()[0]
    plain, equal = (prepared(chain(), granularity="tensor") for _ in range(2))
    reference = float_output(plain, x)
    equalize(equal, lambda: equal(x))
    torch.testing.assert_close(float_output(equal, x), reference, rtol=1e-3, atol=1e-4)
    plain, equal = calibrated(plain, granularity="tensor"), calibrated(equal, granularity="tensor")
    assert error(equal, reference, x) < 0.5 * error(plain, reference, x)


def test_pairs_must_fit():
    model = prepared(chain())
    with pytest.raises(ValueError, match="0 gives 6 channels, but 0 reads 3"):
        equalize(model, pairs=[("0", "0")])
    with pytest.raises(ValueError, match="needs a call of the model"):
        equalize(model)
