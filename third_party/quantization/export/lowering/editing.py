"""Adding nodes and constants to an ONNX graph."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir


class Editor:
    """Adds to one graph; names that are taken get a number.

    Attributes:
        graph: the graph.
    """

    def __init__(self, graph: "ir.Graph") -> None:
        self.graph = graph
        self._names = {value.name for node in graph for value in node.outputs} | set(graph.initializers)
        self._names |= {value.name for value in graph.inputs}
        self._known: dict[tuple[Any, ...], ir.Value] = {}

    def name(self, wanted: str) -> str:
        """A free name, ``wanted`` itself if it is one; taken from then on."""
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name

    def constant(self, name: str, array: np.ndarray, data_type: "ir.DataType | None" = None) -> "ir.Value":
        """A new initializer.

        Args:
            name: what to call it.
            array: its values.
            data_type: with ``INT4`` or ``UINT4`` they are stored packed, two in a byte; None: that of the array.
        """
        import onnx_ir as ir

        if data_type in (ir.DataType.INT4, ir.DataType.UINT4):
            array = array.astype(data_type.numpy())
        tensor = ir.tensor(np.array(array, order="C"), dtype=data_type, name=self.name(name))
        value = ir.Value(
            name=tensor.name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.graph.register_initializer(value)
        return value

    def constant_once(self, name: str, array: np.ndarray, data_type: "ir.DataType") -> "ir.Value":
        """As :meth:`constant`; an equal one that this made before is taken again."""
        key = (array.tobytes(), array.shape, data_type)
        if key not in self._known:
            self._known[key] = self.constant(name, array, data_type)
        return self._known[key]

    def before(
        self,
        place: "ir.Node | None",
        operator: str,
        inputs: Sequence["ir.Value | None"],
        name: str,
        like: "ir.Value",
        **extra: Any,
    ) -> "ir.Value":
        """A new node before ``place``.

        Args:
            place: the node before which it stands; None for the end of the graph.
            operator: its type.
            inputs: its inputs.
            name: of its output.
            like: whose shape its output has.
            extra: attributes; ``data_type`` is that of the output, by default that of ``like``.

        Returns:
            its output.
        """
        import onnx_ir as ir

        data_type = extra.pop("data_type", like.dtype)
        free = self.name(name)
        node = ir.node(operator, inputs, extra, name=f"{free}/{operator}")
        out = node.outputs[0]
        out.name, out.shape, out.type = free, like.shape, ir.TensorType(data_type)
        if place is None:
            self.graph.append(node)
        else:
            self.graph.insert_before(place, node)
        return out

    def replace(self, node: "ir.Node", value: "ir.Value") -> None:
        """Let readers of a node's only output, and the graph's outputs, use ``value``; the node goes."""
        old = node.outputs[0]
        self.let_output_be(old, value)
        old.replace_all_uses_with(value)
        self.graph.remove(node, safe=True)

    def let_output_be(self, old: "ir.Value", value: "ir.Value") -> None:
        """Let ``value`` be the graph's output in the place of ``old``, if that is one, and take over its name."""
        for position, output in enumerate(self.graph.outputs):
            if output is old:
                value.name, old.name = old.name, value.name
                self.graph.outputs[position] = value


def numbers(value: "ir.Value") -> np.ndarray:
    """The values of a constant.

    Raises:
        ValueError: it is computed in the graph.
    """
    found = constant_numbers(value)
    if found is None:
        raise ValueError(f"{value.name}: a range must be constant, but the graph computes it")
    return found


def constant_numbers(value: "ir.Value | None") -> np.ndarray | None:
    """The values of a constant; None for what is no constant."""
    import onnx_ir as ir

    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else np.asarray(tensor.numpy())
