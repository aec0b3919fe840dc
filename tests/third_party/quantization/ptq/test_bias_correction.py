"""Mean errors of channels go away."""

import pytest
import torch
from torch import nn

from third_party.quantization.modules import QuantLayer
from third_party.quantization.ptq.bias_correction import bias_of, correct_biases
from third_party.quantization.ptq.float_copy import float_copy
from third_party.quantization.transform import quantizers

from .small import calibrated, float_output, images, separable


def output_means(model, batches):
    with torch.no_grad():
        return torch.cat([model(x) for x in batches]).mean((0, 2, 3))


def exact_means(model, batches):
    return torch.cat([float_output(model, x) for x in batches]).mean((0, 2, 3))


@pytest.mark.parametrize("batch_norm", ["float", "fold"])
def test_outputs_get_the_means_of_floating_point(batch_norm):
    model = calibrated(separable(nn.ReLU), bits=3, batch_norm=batch_norm)
    expected = exact_means(model, images(1))
    before = (output_means(model, images(1)) - expected).abs().max()
    assert correct_biases(model, images(1), activations=True) == ["0", "1", "2", "3"]
    after = (output_means(model, images(1)) - expected).abs().max()
    # With one batch the last layer is corrected for exactly the inputs that it then gets.
    assert before > 0.01 and after < 1e-5


def test_a_single_layer_is_corrected_by_the_mean_difference():
    torch.manual_seed(0)
    model = calibrated(nn.Sequential(nn.Conv2d(3, 4, 3)), bits=2)
    batches = images(3)
    difference = exact_means(model, batches) - output_means(model, batches)
    bias = model[0].bias.detach().clone()
    correct_biases(model, batches, activations=True)
    torch.testing.assert_close(model[0].bias.detach(), bias + difference, rtol=1e-4, atol=1e-6)


def test_what_clipped_activations_do_is_no_matter_of_the_weights():
    torch.manual_seed(0)
    model = calibrated(nn.Sequential(nn.Conv2d(3, 4, 3)), bits=3)
    quantizer, batches = model[0].input_quantizer, images(3)
    quantizer.set_range(torch.tensor(0.0), torch.tensor(0.1))  # clips nearly all
    expected = exact_means(model, batches)
    quantizer.set_enabled(False)
    difference = expected - output_means(model, batches)
    quantizer.set_enabled(True)
    bias = model[0].bias.detach().clone()
    correct_biases(model, batches)
    torch.testing.assert_close(model[0].bias.detach(), bias + difference, rtol=1e-4, atol=1e-6)
    assert quantizer.enabled


def test_a_reference_of_its_own_and_layers_without_bias():
    torch.manual_seed(0)
    reference = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1, bias=False)).eval()
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1, bias=False)).eval()
    other.load_state_dict(reference.state_dict())
    model = calibrated(other, bits=3)
    with torch.no_grad():
        model[0].bias += 1.0  # the reference does not have it
    assert correct_biases(model, images(1), reference=reference) == ["0"]
    got, expected = (float_output(m[0], images(1)[0]) for m in (model, reference))
    assert (got - expected).mean((0, 2, 3)).abs().max() < 0.1


def test_the_model_is_left_as_it_was():
    model = calibrated(separable(), bits=4)
    activations = [layer.activation for layer in model]
    keys = list(model.state_dict())
    correct_biases(model, images(1))
    assert [layer.activation for layer in model] == activations and list(model.state_dict()) == keys
    assert all(quantizer.enabled for _, quantizer in quantizers(model))
    assert all(bias_of(layer) is not None for layer in model if isinstance(layer, QuantLayer))


def test_no_data_is_an_error():
    with pytest.raises(ValueError, match="at least one batch"):
        correct_biases(calibrated(separable()), [])


def test_a_second_call_needs_what_the_model_was_before():
    model = calibrated(separable(nn.ReLU), bits=3)
    exact, expected = float_copy(model), exact_means(model, images(1))
    for _ in range(2):
        correct_biases(model, images(1), reference=exact, activations=True)
        assert (output_means(model, images(1)) - expected).abs().max() < 1e-5
    with torch.no_grad():
        torch.testing.assert_close(exact(images(1)[0]).mean((0, 2, 3)), expected)
