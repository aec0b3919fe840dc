"""The norm of the RPN's head: statistics of their own for each level, whatever the order of the calls."""

import pytest
import torch

from detectron2.layers import ShapeSpec
from detectron2.layers.batch_norm import CycleBatchNormList
from detectron2.modeling.proposal_generator.rpn_head import StandardRPNHead


def _head(**arguments) -> StandardRPNHead:
    torch.manual_seed(0)
    return StandardRPNHead(in_channels=4, num_anchors=3, **arguments)


@pytest.mark.parametrize("conv_dims", [[-1], [-1, 6]])
def test_every_level_is_normalised_by_its_own_statistics(conv_dims):
    head = _head(norm="BN", num_levels=2, conv_dims=conv_dims).train()
    fine, coarse = torch.randn(2, 4, 8, 8), 5 + 3 * torch.randn(2, 4, 4, 4)
    for _ in range(200):
        head([fine, coarse])
    head.eval()
    with torch.no_grad():
        both = head([fine, coarse])
        norms = [module for module in head.modules() if isinstance(module, CycleBatchNormList)]
        assert len(norms) == len(conv_dims)
        # A forward that stopped in the middle must not shift the levels of the next one.
        norms[0].start_at(1)
        again = head([fine, coarse])
    for first, second in zip(both, again, strict=True):
        for a, b in zip(first, second, strict=True):
            assert torch.equal(a, b)
    hidden = norms[0].at_level(torch.nn.functional.conv2d(coarse, _first(head).weight, _first(head).bias, padding=1), 1)
    assert hidden.mean().abs() < 0.05 and (hidden.std() - 1).abs() < 0.1


def _first(head):
    return head.conv if hasattr(head.conv, "weight") else head.conv[0]


def test_no_norm_by_default_and_the_config_key_is_read():
    from detectron2.config import get_cfg

    assert not [m for m in _head().modules() if isinstance(m, CycleBatchNormList)]
    cfg = get_cfg()
    cfg.MODEL.RPN.HEAD_NORM = "SyncBN"
    arguments = StandardRPNHead.from_config(cfg, [ShapeSpec(channels=4, stride=4)] * 3)
    assert (arguments["norm"], arguments["num_levels"]) == ("SyncBN", 3)
