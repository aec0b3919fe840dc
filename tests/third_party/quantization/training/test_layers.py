import pytest
import torch
from torch import nn

from third_party.quantization.modules.conv import QuantConv2d
from third_party.quantization.modules.options import LayerOptions
from third_party.quantization.spec import DoReFaSpec, LSQSpec, Role
from third_party.quantization.training.layers import quantized_tensors, quantized_weights, refuse_off_grid

from .models import OneWeight, holder, quantized_net


def test_lists_layers_and_roles_in_order():
    found = [(t.name, t.role) for t in quantized_tensors(quantized_net())]
    names = ("conv1", "conv2", "fc")
    assert sorted(found, key=str) == sorted(((n, r) for n in names for r in Role), key=str)
    assert [t.name for t in quantized_weights(quantized_net())] == list(names)


def test_shared_layers_have_both_names_and_one_weight():
    layer = OneWeight(torch.randn(2, 2))
    net = holder(first=layer, second=layer)
    assert [t.name for t in quantized_tensors(net)] == ["first", "second"]
    assert [t.name for t in quantized_weights(net)] == ["first"]


@pytest.mark.parametrize("batch_norm", ["float", "fold", "fixed_point"])
@pytest.mark.parametrize("standardize", [False, True])
def test_quantized_from_is_what_the_quantizer_gets(batch_norm, standardize):
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, 3)
    conv.norm = nn.BatchNorm2d(3)
    conv.norm.running_var.uniform_(1, 4)
    options = LayerOptions(batch_norm, standardize)
    layer = QuantConv2d.from_float(conv, LSQSpec(bits=4), LSQSpec(bits=4), options)
    layer(torch.randn(2, 2, 5, 5))
    given = []
    layer.weight_quantizer.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    layer.eval()(torch.randn(2, 2, 5, 5))
    (tensor,) = quantized_weights(holder(layer=layer))
    assert torch.allclose(tensor.quantized_from(), given[0], atol=1e-6)
    assert tensor.on_grid() == (not standardize and batch_norm != "fold")


def test_off_grid_weights_are_named():
    net = holder(good=OneWeight(torch.randn(2, 2)), bad=OneWeight(torch.randn(2, 2), DoReFaSpec(bits=4)))
    with pytest.raises(ValueError, match="polishing.*of bad are"):
        refuse_off_grid(quantized_weights(net), "polishing")
