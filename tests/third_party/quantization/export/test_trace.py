"""What is traced, and what is refused."""

import pytest
import torch
from torch import nn

from third_party.quantization import prepare
from third_party.quantization.export import image_sizes, trace
from third_party.quantization.export.nodes import (
    DEQUANTIZE,
    FAKE_QUANTIZE,
    constants,
    fake_quantizations,
    grid_of,
    layer_name,
    tensor_names,
)
from third_party.quantization.modules import ConvertedLayer
from third_party.quantization.transform import quantizers

from .models import SIZES, Wrapped, config, converted, everything, everything_traced, images


def test_quantization_is_two_operators_with_constants():
    program, model = everything_traced(), everything()
    known = constants(program)
    layers = [module for module in model.modules() if isinstance(module, ConvertedLayer)]
    restored = [node for node in program.graph.nodes if node.target is DEQUANTIZE]
    assert len(restored) == len(layers) == 7
    assert all(argument.name in known for node in restored for argument in node.args[:3])
    for node in fake_quantizations(program):
        grid = grid_of(node, known)
        assert grid.axis is None and grid.bits in (8, 16)
    convolutions = [node for node in program.graph.nodes if "conv" in str(node.target)]
    assert len(convolutions) == 7
    assert all(node.args[1].target is DEQUANTIZE for node in convolutions)


def test_the_model_stays_as_it_is():
    model = everything()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    everything_traced()
    assert list(quantizers(model)) and before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


def test_tensors_are_named_after_their_quantizers():
    names = tensor_names(everything_traced())
    assert len(set(names.values())) == len(names)
    assert {"stem.input_quantizer", "head.input_quantizer", "deep.activation.sigmoid"} <= set(names.values())
    nodes = {node.name: node for node in fake_quantizations(everything_traced())}
    (head,) = [nodes[key] for key, name in names.items() if name == "head.input_quantizer"]
    assert layer_name(head).startswith("head") and grid_of(head, constants(everything_traced())).bits == 16


def test_sizes_are_dynamic():
    program, model = everything_traced(), everything()
    for size in ((1, 8, 12), (5, 44, 20)):
        x = images(*size)
        with torch.no_grad():
            expected = model(x)
        for value, given in zip(expected, program.module()(x), strict=True):
            torch.testing.assert_close(given, value, rtol=1e-5, atol=1e-5)


def test_unfinished_models_are_refused_and_layers_named():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1))
    prepare(net, config())
    with pytest.raises(ValueError, match="0.input_quantizer: no range yet"):
        trace(net, (images(),))
    net(images())
    with pytest.raises(ValueError, match="1: its weight is not held as integers yet: convert"):
        trace(net, (images(),))


def test_a_quantizer_that_is_switched_off_is_not_there():
    torch.manual_seed(0)
    net = converted(nn.Sequential(nn.Conv2d(3, 4, 1)), config(), images())
    assert len(list(fake_quantizations(trace(net, (images(),))))) == 1
    net[0].input_quantizer.set_enabled(False)
    program = trace(net, (images(),))
    assert not list(fake_quantizations(program))
    assert FAKE_QUANTIZE not in {node.target for node in program.graph.nodes}


def test_ranges_that_are_computed_are_refused():
    def function(m, x):
        return FAKE_QUANTIZE(x, x.abs().max() / 127, torch.zeros(()), -128, 127, None, False, 1.0, False)

    with pytest.raises(ValueError, match="computed in the graph"):
        trace(Wrapped(function), (images(),))


@pytest.mark.parametrize("settings", ({"smallest": 32}, {"largest": 100}, {"divisor": 7}))
def test_sizes_must_fit_the_stride(settings):
    with pytest.raises(ValueError, match="must be a multiple of"):
        image_sizes(**settings)
    assert set(SIZES[0]) == {0, 2, 3}
