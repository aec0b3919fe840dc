"""Names in checkpoints of YOLOv7, where a block is several rows."""

from collections.abc import Callable, Mapping

from torch import nn

from ..heads import AnchorBasedHead
from ..layers import ELAN, Focus, PyramidCSP, ReparamConv, TinyPyramidCSP, Transition, WideTransition
from .names import SourceNames


def _elan(module: nn.Module) -> dict[str, str]:
    assert isinstance(module, ELAN)
    depth = len(module.chain)
    chain = {f"chain.{index}": f"+{index + 2}" for index in range(depth)}
    return {"past": "+0", "enter": "+1", **chain, "merge": f"+{depth + 3}"}


CHILDREN: Mapping[type[nn.Module], Mapping[str, str] | Callable[[nn.Module], Mapping[str, str]]] = {
    ELAN: _elan,
    Focus: {"conv": "+1"},
    Transition: {"pooled": "+1", "reduce": "+2", "down": "+3"},
    WideTransition: {"reduce": "cv1", "down": "cv2", "pooled": "cv3"},
    PyramidCSP: {
        "before.0": "cv1",
        "past": "cv2",
        "before.1": "cv3",
        "before.2": "cv4",
        "after.0": "cv5",
        "after.1": "cv6",
        "merge": "cv7",
    },
    TinyPyramidCSP: {"past": "+0", "before": "+1", "after": "+6", "merge": "+8"},
    ReparamConv: {
        "large.weight": "rbr_dense.0.weight",
        "large.norm": "rbr_dense.1",
        "small.weight": "rbr_1x1.0.weight",
        "small.norm": "rbr_1x1.1",
    },
    AnchorBasedHead: {"predictors": "m", "auxiliary_predictors": "m2", "shifts": "ia", "scales": "im"},
}


def yolov7_names(first_rows: tuple[int, ...]) -> SourceNames:
    """The conventions, given where each row of the table here begins there; the last one is the head."""
    return SourceNames(prefix=lambda index: f"model.{first_rows[index]}", children=CHILDREN)
