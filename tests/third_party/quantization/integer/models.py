"""Quantized models with plausible numbers in them, traced."""

import copy
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram, ExportGraphSignature
from torch.fx import Interpreter, Node
from torch.nn.modules.batchnorm import _BatchNorm

from third_party.quantization import QuantConfig, convert, prepare
from third_party.quantization.export import trace
from third_party.quantization.grids.levels import Levels


def settings(bits: int = 8, **sections) -> QuantConfig:
    """Weights and activations by minmax at one width; ``sections`` are keys of the configuration."""
    activation = {"METHOD": "minmax", "BITS": bits, "SYMMETRIC": False}
    plain = {
        "ENABLED": True,
        "WEIGHT": {"METHOD": "minmax", "BITS": bits, "GRANULARITY": "channel"},
        "ACTIVATION": activation,
        "ELEMENTWISE": {"ENABLED": True, **activation},
    }
    return QuantConfig.from_mapping(plain | sections)


def pictures(number: int, height: int, width: int, channels: int = 3, seed: int = 0) -> Tensor:
    """Smooth pictures with values from 0 to 255."""
    noise = torch.rand(number, channels, height // 8 + 1, width // 8 + 1, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(height, width), mode="bilinear") * 255


@torch.no_grad()
def converted(model: nn.Module, config: QuantConfig, *batches: tuple[Tensor, ...]) -> nn.Module:
    """Prepare, give batch norms and ranges what the batches have, convert; in place."""
    for norm in [module for module in model.modules() if isinstance(module, _BatchNorm)]:
        norm.momentum = None
        if norm.affine:
            sign = torch.where(torch.rand_like(norm.weight) < 0.1, -1.0, 1.0)
            norm.weight.copy_((0.5 + torch.rand_like(norm.weight)) * sign)
            norm.bias.copy_(0.5 * torch.randn_like(norm.bias))
    prepare(model, config)
    model.train()
    for batch in batches:
        model(*batch)
    convert(model.eval())
    return model


def traced(model: nn.Module, config: QuantConfig, *batches: tuple[Tensor, ...], dynamic_shapes=None) -> ExportedProgram:
    """The program of :func:`converted`, traced with the first batch."""
    return trace(converted(model, config, *batches), batches[0], dynamic_shapes)


@dataclass
class Traced:
    """What the compiler and :func:`reference` read of a traced program."""

    graph_module: torch.fx.GraphModule
    graph_signature: ExportGraphSignature
    state_dict: dict[str, Tensor]
    constants: dict[str, Tensor] = field(default_factory=dict)

    @property
    def graph(self) -> torch.fx.Graph:
        return self.graph_module.graph


@torch.no_grad()
def at_width(program: ExportedProgram, bits: int) -> Traced:
    """A traced program of 8 bits with fewer: the same ranges, divided into fewer levels."""
    graph_module = copy.deepcopy(program.graph_module)
    state = {name: value.clone() for name, value in {**program.state_dict, **program.constants}.items()}
    names = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs if spec.target}
    done = set()
    for node in graph_module.graph.nodes:
        if "dequantize" in str(node.target):
            codes, scale = (names[argument.name] for argument in node.args[:2])
            if codes not in done:
                highest = 2 ** (bits - 1) - 1
                state[codes] = (state[codes].float() * highest / 127).round().to(torch.int8)
                state[scale] = state[scale] * (127 / highest)
                done.add(codes)
        elif "fake_quantize" in str(node.target):
            _narrow(node, bits, state, names, done)
    return Traced(graph_module, program.graph_signature, state)


def _narrow(node: Node, bits: int, state: dict[str, Tensor], names: dict[str, str], done: set[str]) -> None:
    low, high = node.args[3:5]
    if high - low != 255 or "sigmoid" in str(node.args[0]):
        return
    step, zero_point = (names[argument.name] for argument in node.args[1:3])
    before = Levels(low, high, half=False, symmetric=False)
    after = Levels.of(bits, low < 0, symmetric=low < 0)
    if step not in done:
        bottom, top = before.ends(state[step], state[zero_point])
        placed = Levels(after.low, after.high, half=False, symmetric=False).place(bottom, top)
        state[step], state[zero_point] = placed[0], placed[1].round()
        done |= {step, zero_point}
    node.args = (*node.args[:3], after.low, after.high, *node.args[5:])


class _Recorder(Interpreter):
    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self.quantized: dict[str, Tensor] = {}

    def run_node(self, node: Node):
        result = super().run_node(node)
        if "fake_quantize" in str(node.target):
            self.quantized[node.name] = result.clone()
        return result


@torch.no_grad()
def reference(program: ExportedProgram | Traced, inputs: tuple[Tensor, ...]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Outputs of a traced program in float32, and its quantized tensors by the name of their node."""
    given = iter(inputs)
    arguments = []
    for spec in program.graph_signature.input_specs:
        stored = program.state_dict.get(spec.target, program.constants.get(spec.target)) if spec.target else None
        arguments.append(next(given) if stored is None else stored)
    recorder = _Recorder(program.graph_module)
    outputs = recorder.run(*arguments)
    return list(torch.utils._pytree.tree_leaves(outputs)), recorder.quantized
