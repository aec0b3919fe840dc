"""Learning the rounding of one block's weights, and the ranges of its activations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.hooks import RemovableHandle

from ...modules import QuantLayer
from ...quantizers.affine import AffineQuantizer
from ...quantizers.quantizer import Quantizer
from ...spec.roles import Role
from ..learnable import has_learnable_range
from ..weight_ranges import folded_factor
from .adaround import LearnedRounding, can_learn_rounding, put_weight
from .captured import pick, rows_of
from .learning import LearningSettings


@dataclass(frozen=True)
class Sample:
    """One call of a block: what it gets in the quantized model, in the float one, and what it gives there."""

    quantized: tuple[Any, ...]
    exact: tuple[Any, ...]
    target: Any


class BlockLearner:
    """Takes the place of a block's weight quantizers, and learns on samples in as many turns as wanted.

    Args:
        block: a module of a quantized model.
        settings: how.
        skip: quantizers of activations whose ranges stay, as others rely on them.
    """

    def __init__(self, block: nn.Module, settings: LearningSettings, skip: set[Quantizer]) -> None:
        self.block, self.settings = block, settings
        layers = (layer for layer in block.modules() if isinstance(layer, QuantLayer))
        self._roundings: dict[QuantLayer, tuple[Quantizer, LearnedRounding]] = {}
        for layer in layers:
            quantizer = layer.weight_quantizer
            if can_learn_rounding(layer) and isinstance(quantizer, AffineQuantizer):
                weight = layer.prepared_weight(folded_factor(layer))
                self._roundings[layer] = quantizer, LearnedRounding(quantizer, weight)
        self.activations = [
            q for q in block.modules() if isinstance(q, Quantizer) and q.role is Role.ACTIVATION and q.enabled
        ]
        self._ranges = [q for q in self.activations if has_learnable_range(q) and q not in skip]
        self._start = [q.scale.detach().clone() for q in self._ranges]
        choices = [rounding.choice for _, rounding in self._roundings.values()]
        groups: list[dict[str, Any]] = [{"params": choices, "lr": settings.rate}] if choices else []
        if settings.learn_ranges:
            groups += [
                {"params": [q.scale], "lr": settings.range_rate * float(start.mean())}
                for q, start in zip(self._ranges, self._start, strict=True)
            ]
        self._parameters: list[Tensor] = [parameter for group in groups for parameter in group["params"]]
        self._optimizer = torch.optim.Adam(groups) if groups else None
        self._handles: list[RemovableHandle] = []
        self._done = 0
        self._generator = torch.Generator(_device(block)).manual_seed(settings.seed)
        self._host_generator = torch.Generator().manual_seed(settings.seed)
        self._unit = 0.0

    def error(self, samples: Sequence[Sample]) -> float:
        """Mean squared error of the block's output on its quantized input, as the block is now."""
        with torch.no_grad():
            return sum(float(_error(self.block(*s.quantized), s.target)) for s in samples) / len(samples)

    def learn(self, samples: Sequence[Sample], iterations: int) -> None:
        """Take steps of the optimizer; :meth:`install` must have been called."""
        if self._optimizer is None:
            return
        self._unit = self._unit or max(self.error(samples), 1e-12)
        with torch.enable_grad():
            for _ in range(iterations):
                loss = self._loss(samples[int(torch.randint(len(samples), (), generator=self._host_generator))])
                grads = torch.autograd.grad(loss, self._parameters, allow_unused=True)
                for parameter, grad in zip(self._parameters, grads, strict=True):
                    parameter.grad = grad
                self._optimizer.step()
                self._done += 1
        for parameter in self._parameters:
            parameter.grad = None

    def install(self) -> None:
        """Let the block use what is learned."""
        for layer, (_, rounding) in self._roundings.items():
            layer.weight_quantizer = rounding  # type: ignore[assignment]
        for quantizer in self._ranges if self.settings.learn_ranges else ():
            quantizer.scale.requires_grad_(True)
        if self.settings.drop > 0:
            self._handles = [quantizer.register_forward_hook(self._drop) for quantizer in self.activations]

    def harden(self) -> None:
        """End learning: weights go to one of their levels, activations are all quantized."""
        for handle in self._handles:
            handle.remove()
        for quantizer in self._ranges:
            quantizer.scale.requires_grad_(quantizer.learned and not quantizer.frozen)
        for _, rounding in self._roundings.values():
            rounding.hard = True

    def keep(self) -> None:
        """Put the rounded weights into the layers, which get their quantizers back; those are frozen."""
        for layer, (quantizer, rounding) in self._roundings.items():
            put_weight(layer, rounding(layer.weight.float()).detach())
            layer.weight_quantizer = quantizer
            quantizer.set_frozen(True)

    def swap_back(self) -> list[Tensor]:
        """Layers get their quantizers back, and activations their ranges of before; gives the learned ranges."""
        for layer, (quantizer, _) in self._roundings.items():
            layer.weight_quantizer = quantizer
        learned = [q.scale.detach().clone() for q in self._ranges]
        self.set_ranges(self._start)
        return learned

    def set_ranges(self, scales: Sequence[Tensor]) -> None:
        """Set the steps of the activations whose ranges are learned."""
        for quantizer, scale in zip(self._ranges, scales, strict=True):
            quantizer.scale.data.copy_(scale)

    def use_rounding(self) -> None:
        """The learned, hardened weights again, after :meth:`swap_back`."""
        for layer, (_, rounding) in self._roundings.items():
            layer.weight_quantizer = rounding  # type: ignore[assignment]

    def _loss(self, sample: Sample) -> Tensor:
        count, settings = rows_of((sample.quantized, sample.exact, sample.target)), self.settings
        rows = None if count is None else torch.randperm(count, generator=self._host_generator)[: settings.rows]
        inputs = tree_map(self._mix, pick(sample.exact, rows), pick(sample.quantized, rows))
        loss = _error(self.block(*inputs), pick(sample.target, rows)) / self._unit
        progress = self._done / settings.iterations
        if progress < settings.warmup:
            return loss
        beta = settings.beta(progress)
        penalties = [rounding.penalty(beta) for _, rounding in self._roundings.values()]
        return loss + settings.penalty * sum(penalties, start=loss.new_zeros(())) / max(len(penalties), 1)

    def _mix(self, exact: Any, quantized: Any) -> Any:
        if self.settings.drop == 0 or not isinstance(exact, Tensor) or exact.shape != quantized.shape:
            return quantized
        chance = torch.rand(exact.shape, generator=self._generator, device=exact.device)
        return torch.where(chance < self.settings.drop, exact, quantized)

    def _drop(self, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return self._mix(args[0], output)


def _error(output: Any, target: Any) -> Tensor:
    """Mean squared difference of all tensors of two trees."""
    pairs = zip(tree_leaves(output), tree_leaves(target), strict=True)
    sums = [((a.float() - b.float()).square().sum(), a.numel()) for a, b in pairs]
    return sum((total for total, _ in sums), start=torch.zeros((), device=sums[0][0].device)) / sum(n for _, n in sums)


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))
