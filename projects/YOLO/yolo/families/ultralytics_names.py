"""Names in checkpoints of the Ultralytics kind: rows are ``model.<index>``, convolutions of a block ``cv<number>``."""

from collections.abc import Mapping

from torch import nn

from ..heads import AnchorBasedHead, AnchorFreeHead, EndToEndHead
from ..layers import (
    C2PSA,
    C3,
    SPP,
    SPPF,
    AreaAttention,
    AreaBlock,
    AttentionBlock,
    Bottleneck,
    C2f,
    CompactInvertedBlock,
    LargeKernelConv,
    PositionalAttention,
    ResidualELAN,
    SCDown,
    SeparableConv,
)
from .names import SourceNames

_ATTENTION = {"queries_keys_values": "qkv", "position": "pe", "project": "proj"}

CHILDREN: Mapping[type[nn.Module], Mapping[str, str]] = {
    Bottleneck: {"first": "cv1", "second": "cv2"},
    C3: {"main": "cv1", "side": "cv2", "merge": "cv3", "blocks": "m"},
    C2f: {"expand": "cv1", "merge": "cv2", "blocks": "m"},
    C2PSA: {"expand": "cv1", "merge": "cv2", "blocks": "m"},
    SPP: {"reduce": "cv1", "merge": "cv2"},
    SPPF: {"reduce": "cv1", "merge": "cv2"},
    SeparableConv: {"depthwise": "0", "pointwise": "1"},
    SCDown: {"pointwise": "cv1", "depthwise": "cv2"},
    CompactInvertedBlock: {"layers": "cv1"},
    LargeKernelConv: {"large": "conv", "small": "conv1"},
    PositionalAttention: _ATTENTION,
    AttentionBlock: {"attention": "attn", "perceptron": "ffn"},
    AreaAttention: _ATTENTION,
    AreaBlock: {"attention": "attn", "perceptron": "mlp"},
    ResidualELAN: {"reduce": "cv1", "merge": "cv2", "blocks": "m", "scale": "gamma"},
    AnchorBasedHead: {"predictors": "m"},
    AnchorFreeHead: {"branches.boxes": "cv2", "branches.classes": "cv3"},
    EndToEndHead: {
        "one_to_many.boxes": "cv2",
        "one_to_many.classes": "cv3",
        "one_to_one.boxes": "one2one_cv2",
        "one_to_one.classes": "one2one_cv3",
    },
}


def ultralytics_names(size: str) -> SourceNames:
    """The conventions, the same for each size."""
    return SourceNames(prefix=lambda index: f"model.{index}", children=CHILDREN)
