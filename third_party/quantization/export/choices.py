"""Choices among values, after which positions in a tensor no longer tell what stands there."""

import torch
from torch.fx import Node

from .landmarks import LANDMARK
from .nodes import FAKE_QUANTIZE

aten = torch.ops.aten
_CHOOSING = frozenset({aten.topk, aten.sort, aten.argsort, aten.argmax, aten.argmin, aten.nonzero})


def behind_choice(node: Node, *, whole: bool = False) -> bool:
    """Whether a node's value hangs on which values were largest: top-k, sorting, suppression.

    There two executions that differ by one rounding may give the same rows in another order.

    Args:
        node: of a traced graph.
        whole: look back to the inputs; otherwise to the quantized tensors and landmarks before, from whose values both
            executions can go on.
    """
    seen: set[Node] = set()
    queue = list(node.all_input_nodes)
    while queue:
        at = queue.pop()
        if at in seen:
            continue
        seen.add(at)
        if getattr(at.target, "overloadpacket", None) in _CHOOSING or "::nms" in _schema_name(at):
            return True
        if whole or at.target not in (FAKE_QUANTIZE, LANDMARK):
            queue += at.all_input_nodes
    return False


def _schema_name(node: Node) -> str:
    schema = getattr(node.target, "_schema", None)
    return str(getattr(schema, "name", ""))
