"""What optimizers and checkpoints learn about a prepared model."""

import pytest
import torch
from torch import nn

from third_party.quantization import missing_quantizer_keys, parameter_overrides, prepare
from third_party.quantization.quantizers import Quantizer
from third_party.quantization.spec import LSQPlusSpec, LSQSpec, PACTSpec, TTQSpec
from third_party.quantization.transform import quantizers

from .models import config, images, make_net


def test_all_quantizers_by_name():
    net = make_net()
    prepare(net, config())
    found = dict(quantizers(net))
    assert all(isinstance(quantizer, Quantizer) for quantizer in found.values())
    assert {"stem.weight_quantizer", "stem.input_quantizer", "add.input_quantizer", "cat.input_quantizer"} <= set(found)
    assert len(found) == 2 * 5 + 2


@pytest.mark.parametrize(
    ("weight", "activation", "names"),
    (
        (LSQSpec(), LSQSpec(), {"scale"}),
        (LSQSpec(), LSQPlusSpec(), {"scale", "offset"}),
        (LSQSpec(), PACTSpec(), {"scale"}),
        (TTQSpec(), None, {"positive_level", "negative_level"}),
    ),
)
def test_ranges_have_no_weight_decay(weight, activation, names):
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    assert parameter_overrides(net) == {}
    prepare(net, config(weight=weight, activation=activation))
    assert parameter_overrides(net) == {name: {"weight_decay": 0.0} for name in names}


def test_float_checkpoints_lack_the_state_of_quantizers_only():
    checkpoint = make_net().state_dict()
    net = make_net()
    prepare(net, config())
    result = net.load_state_dict(checkpoint, strict=False)
    missing = missing_quantizer_keys(net, result)
    assert not result.unexpected_keys and missing.others == ()
    assert set(missing.quantizers) == {key for key in net.state_dict() if "_quantizer." in key}
    del checkpoint["head.weight"]
    missing = missing_quantizer_keys(net, net.load_state_dict(checkpoint, strict=False).missing_keys)
    assert missing.others == ("head.weight",) and "head.weight_quantizer.scale" in missing.quantizers


def test_float_weights_give_the_same_start_before_or_after():
    checkpoint = make_net().state_dict()
    before, after = make_net(), make_net()
    with torch.no_grad():
        for parameter in after.parameters():
            parameter.zero_()
    prepare(before, config())
    prepare(after, config())
    after.load_state_dict(checkpoint, strict=False)
    assert torch.equal(before(images()), after(images()))
