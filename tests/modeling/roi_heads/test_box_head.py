import pytest
import torch

from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.box_head import FastRCNNConvFCHead


@pytest.mark.parametrize(
    ("conv_dims", "fc_dims", "shape"),
    [
        ([], [16, 8], ShapeSpec(channels=8)),
        ([32], [16], ShapeSpec(channels=16)),
        ([32, 64], [], ShapeSpec(channels=64, height=7, width=7)),
    ],
)
@pytest.mark.parametrize("norm", ["", "GN"])
def test_output_has_the_announced_shape(conv_dims, fc_dims, shape, norm):
    head = FastRCNNConvFCHead(ShapeSpec(5, 7, 7), conv_dims=conv_dims, fc_dims=fc_dims, conv_norm=norm)
    assert head.output_shape == shape
    for count in (3, 0):
        y = head(torch.randn(count, 5, 7, 7))
        assert y.shape == ((count, shape.channels, 7, 7) if shape.height else (count, shape.channels))
        assert (y >= 0).all()


def test_a_head_needs_layers():
    with pytest.raises(ValueError, match="NUM_CONV or NUM_FC"):
        FastRCNNConvFCHead(ShapeSpec(5, 7, 7), conv_dims=[], fc_dims=[])
