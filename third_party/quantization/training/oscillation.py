"""Weights that jump to and fro between two levels: found, and frozen (arXiv 2203.11086)."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from .layers import QuantizedTensor, evenly_spaced, refuse_off_grid

# Above this frequency a weight counts as oscillating (section 2.2 of the paper).
OSCILLATING = 0.005


@dataclass
class Track:
    """What is known of one layer's weights; all tensors in the shape of the weight.

    Attributes:
        index: number of the level after the last step; of frozen weights the level that they keep.
        direction: int8 sign of the last change of level, 0 before the first.
        frequency: moving average of "changed level against the direction of the last change".
        mean: moving average of ``index``.
        frozen: bool.
        width: bits the numbers belong to.
    """

    index: Tensor
    direction: Tensor
    frequency: Tensor
    mean: Tensor
    frozen: Tensor
    width: int


class OscillationTracker:
    """Follows the levels of all weights over training steps; freezes those that oscillate (algorithm 1).

    With x_t the number of a weight's level at step t, a change ``x_t - x_(t-1)`` is an oscillation when its sign is
    opposite to that of the last change before it; the frequency is ``f <- m o + (1 - m) f`` (equation 4). A weight
    with f above the threshold keeps, from then on, the level nearest to the moving average of its levels, and follows
    when the step size changes. A change of the bit width starts anew and releases all. Quantizers with unevenly spaced
    levels take no part.

    Args:
        weights: of ``quantized_weights``.
        momentum: m, above 0 and at most 1.
        freeze_threshold: frequency above which a weight is frozen; 0: none is.

    Raises:
        ValueError: weights would be frozen that are standardised, folded or transformed before quantization.
    """

    def __init__(self, weights: list[QuantizedTensor], momentum: float, freeze_threshold: float = 0.0) -> None:
        if freeze_threshold > 0:
            refuse_off_grid(weights, "freezing of oscillating weights")
        self.weights = weights
        self.momentum = momentum
        self.freeze_threshold = freeze_threshold
        self.tracks: dict[str, Track] = {}

    @torch.no_grad()
    def update(self) -> None:
        """Look at the weights after an optimizer step; write to those that are frozen."""
        for tensor in self.weights:
            if tensor.active and evenly_spaced(tensor.quantizer.grid()):
                self._update(tensor)
            else:
                self.tracks.pop(tensor.name, None)

    def _update(self, tensor: QuantizedTensor) -> None:
        values, quantizer = tensor.quantized_from().detach(), tensor.quantizer
        grid = quantizer.grid()
        index = grid.indices(quantizer.integers(values))
        track = self.tracks.get(tensor.name)
        if track is None or track.width != quantizer.bits:
            self.tracks[tensor.name] = _start(index, quantizer.bits)
            return
        index = torch.where(track.frozen, track.index.int(), index)
        change = (index - track.index.int()).sign().to(torch.int8)
        turned = change * track.direction < 0
        track.direction = torch.where(change != 0, change, track.direction)
        track.frequency.lerp_(turned.float(), self.momentum)
        track.mean.lerp_(index.float(), self.momentum)
        if self.freeze_threshold > 0:
            newly = (track.frequency > self.freeze_threshold) & ~track.frozen
            index = torch.where(newly, track.mean.round().int(), index)
            track.frozen |= newly
            levels = grid.values(grid.codes_of(index)).to(values.dtype)
            values.copy_(torch.where(track.frozen, levels, values))
        track.index = index.to(track.index.dtype)

    def shares(self) -> dict[str, float]:
        """Share of weights that oscillate and share that is frozen, 0 to 1."""
        total = sum(track.index.numel() for track in self.tracks.values())
        moving = sum(int((track.frequency > OSCILLATING).sum()) for track in self.tracks.values())
        frozen = sum(int(track.frozen.sum()) for track in self.tracks.values())
        return {"oscillating": moving / max(total, 1), "frozen": frozen / max(total, 1)}

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """The tracks' fields by layer name."""
        return {name: {f.name: getattr(t, f.name) for f in fields(t)} for name, t in self.tracks.items()}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over what :meth:`state_dict` gave.

        Raises:
            ValueError: a layer that the model does not have, or whose weight has another shape.
        """
        shapes = {t.name: t.quantized_from() for t in self.weights}
        tracks = {}
        for name, values in state.items():
            if name not in shapes or shapes[name].shape != values["index"].shape:
                raise ValueError(f"the state follows weights of {name!r} that the model lacks, or in another shape")
            device = shapes[name].device
            moved: dict[str, Any] = {k: v.to(device).clone() if isinstance(v, Tensor) else v for k, v in values.items()}
            tracks[name] = Track(**moved)
        self.tracks = tracks


def _start(index: Tensor, bits: int) -> Track:
    zeros = torch.zeros_like(index)
    return Track(
        index=index.to(torch.int16 if bits < 16 else torch.int32),
        direction=zeros.to(torch.int8),
        frequency=zeros.float(),
        mean=index.float(),
        frozen=zeros.bool(),
        width=bits,
    )
