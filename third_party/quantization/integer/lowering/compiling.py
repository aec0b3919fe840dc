"""From a traced, converted model to an integer program."""

import operator
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from ...functional import dequantize as _dequantize  # noqa: F401  defines the operator
from ...functional import fake_quantize as _fake_quantize  # noqa: F401  defines the operator
from ..program import IntegerProgram, ProgramInput, QuantizedTensor
from ..sizes import encode
from . import elementwise, moving, normalization, pooling, weighted  # noqa: F401  handlers register by being imported
from .builder import Builder
from .calls import HANDLERS, Call
from .errors import layer_of
from .floats import float_steps
from .pruning import prune
from .quantization import dequantize, quantize
from .values import Constant, FloatTensor, IntegerValue, Origin, Scalar, Value, Weight, replace_values, values_in

_IGNORED = ("_assert", "sym_constrain", "_assert_scalar", "_assert_tensor_metadata")


def compile_program(program: ExportedProgram) -> IntegerProgram:
    """Bring a traced model into integers.

    Args:
        program: from ``torch.export`` of a converted model in evaluation mode, or of a part of one. Quantization is in
            it only as the operators ``third_party_quantization::fake_quantize`` and ``::dequantize`` with constant
            ranges. What stands before the first ``fake_quantize`` of an input (normalisation of the image) and behind
            the last layer (decoding) stays in float; nothing between does.

    Returns:
        the program: each quantized tensor is there as codes on its grid; outputs are float.

    Raises:
        IntegerLoweringError: an operator between quantized tensors that integers cannot do, a layer whose weight or
            input is not quantized, or sums that int32 does not hold; the layer and the remedy are named.
    """
    return _Compiler(functional(program)).compile()


def functional(program: ExportedProgram) -> ExportedProgram:
    """The program without writes into tensors that others may see; writes into fresh results are harmless."""
    for node in program.graph.nodes:
        if node.op != "call_function" or not _writes(node.target):
            continue
        written = node.args[0]
        others = [user for user in written.users if user is not node]
        if written.op != "call_function" or _is_view(written.target) or any(_is_view(o.target) for o in others):
            return program.run_decompositions({})
    return program


def _writes(target: Any) -> bool:
    return isinstance(target, torch._ops.OpOverload) and target._schema.name.endswith("_")


def _is_view(target: Any) -> bool:
    if not isinstance(target, torch._ops.OpOverload):
        return target is operator.getitem
    return any(result.alias_info is not None for result in target._schema.returns) and not _writes(target)


class _Compiler:
    """Walks the graph once, node by node."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program, self.builder = program, Builder()
        self.values: dict[Node, Any] = {}
        self.inputs: list[ProgramInput] = []
        self.quantized: dict[str, QuantizedTensor] = {}

    def compile(self) -> IntegerProgram:
        outputs: list[str] = []
        constants = self._constants()
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = constants[node.name] if node.name in constants else self._input(node)
            elif node.op == "get_attr":
                self.values[node] = Constant(tensor=getattr(self.program.graph_module, str(node.target)))
            elif node.op == "call_function":
                self._call(node)
            else:
                flat = torch.utils._pytree.tree_leaves(node.args)
                outputs = [self.builder.as_float(self._argument(item)) for item in flat if isinstance(item, Node)]
        operations, quantized = prune(self.builder.operations, outputs, self.quantized)
        return IntegerProgram(tuple(self.inputs), operations, tuple(outputs), quantized)

    def _constants(self) -> dict[str, Constant]:
        """Parameters, buffers and lifted constants by the name of their placeholder."""
        found: dict[str, Constant] = {}
        for spec in self.program.graph_signature.input_specs:
            if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
                name = str(spec.target)
                stored = self.program.state_dict.get(name, self.program.constants.get(name))
                if not isinstance(stored, Tensor):
                    raise ValueError(f"the traced program lacks the data of {name!r}")
                found[spec.arg.name] = Constant(tensor=stored.detach().cpu(), rank=stored.dim())
        return found

    def _input(self, node: Node) -> Value:
        example = node.meta["val"]
        if not isinstance(example, Tensor):
            raise ValueError(f"input {node.name!r} of the traced model is a {type(example).__name__}, not a tensor")
        sizes = tuple(n if isinstance(n, int) else encode(n.node.expr) for n in example.shape)
        name = f"%{len(self.inputs)}"
        self.inputs.append(ProgramInput(node.name, sizes, str(example.dtype).removeprefix("torch.")))
        return FloatTensor(tensor=name, rank=example.dim())

    def _argument(self, argument: Any) -> Any:
        if isinstance(argument, Node):
            return self.values[argument]
        if isinstance(argument, (list, tuple)):
            return [self._argument(item) for item in argument]
        return argument

    def _call(self, node: Node) -> None:
        name = str(node.target)
        if any(part in name for part in _IGNORED):
            return
        example = node.meta.get("val")
        if node.target is operator.getitem:
            self.values[node] = self.values[node.args[0]][node.args[1]]  # type: ignore[index]
        elif isinstance(example, (torch.SymInt, int)) and not isinstance(example, bool):
            size = example if isinstance(example, int) else encode(example.node.expr)
            self.values[node] = Scalar(size=size)
        else:
            arguments = tuple(self._argument(item) for item in node.args)
            keywords = {key: self._argument(item) for key, item in node.kwargs.items()}
            origin = Origin(_without_writing(node.target), arguments, keywords, layer_of(node))
            self.values[node] = self._lower(Call(self.builder, origin, example, node.name, _shape(node)))
            if _writes(node.target):
                self.values[node.args[0]] = self.values[node]  # type: ignore[index]

    def _lower(self, call: Call) -> Any:
        origin = call.origin
        values = values_in([*origin.arguments, origin.keywords])
        if "fake_quantize" in origin.name and not isinstance(origin.arguments[0], Constant):
            coded = quantize(call)
            self.quantized[call.node] = QuantizedTensor(coded.tensor, coded.grid, origin.layer)
            return coded
        if "dequantize" in origin.name:
            return dequantize(call)
        if all(isinstance(value, (Constant, Weight)) for value in values):
            return _computed(origin)
        if any(isinstance(value, (IntegerValue, Weight)) for value in values):
            handler = HANDLERS.get(call.name)
            result = None if handler is None else handler(call)
            if result is not None:
                return result
        return float_steps(call)


def _shape(node: Node) -> tuple[Any, ...] | None:
    """Sizes of a node's first argument."""
    first = node.args[0] if node.args else None
    example = first.meta.get("val") if isinstance(first, Node) else None
    return tuple(example.shape) if isinstance(example, Tensor) else None


def _computed(origin: Origin) -> Any:
    """The constant result of an operator on constants."""

    def tensor_of(value: Value) -> Tensor:
        if isinstance(value, Weight):
            return (value.codes - value.zero_point).float() * value.scale
        assert isinstance(value, Constant)
        return value.tensor

    arguments = replace_values(list(origin.arguments), tensor_of)
    result = origin.operator(*arguments, **replace_values(origin.keywords, tensor_of))
    if isinstance(result, (list, tuple)):
        return tuple(Constant(tensor=item, rank=item.dim()) for item in result)
    return Constant(tensor=result, rank=result.dim())


def _without_writing(target: Any) -> Any:
    """The operator that returns what ``target`` writes."""
    if not _writes(target):
        return target
    namespace, _, name = target._schema.name.partition("::")
    return getattr(getattr(getattr(torch.ops, namespace), name[:-1]), target._overloadname)
