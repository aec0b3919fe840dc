"""Weights of Darknet, which stand in a file without names: convolution after convolution, as its network runs them."""

import os
import struct
from pathlib import Path

import torch
from torch import Tensor, nn

from detectron2.layers import Conv2d

from ..families import get_family
from ..layers import SPP
from ..network import YOLONetwork
from .network_graph import network_graph

__all__ = ["FAMILY", "convert_darknet", "convolutions_in_order", "read_numbers"]

FAMILY = "darknet_yolov3"
# Darknet's normalisation divides by sqrt(variance + this).
_EPS = 1e-5


def convert_darknet(filename: str | os.PathLike[str], network: YOLONetwork) -> dict[str, Tensor]:
    """The state dict of a network from a ``.weights`` file of it.

    For each convolution the file has, where a normalisation follows, its shifts, scales, means and variances, else the
    biases; then the weights (output, input, row, column).

    Args:
        filename: local path.
        network: of the family :data:`FAMILY`; only its modules and shapes are read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the network decodes in another way, the header is unknown, numbers are missing, left over, or not
            finite.
    """
    if network.family != FAMILY:
        raise ValueError(
            f"Darknet's YOLOv3 has leaky units and exponential sizes, which {network.family} has not: "
            f"convert it to the family {FAMILY}"
        )
    numbers = _Numbers(read_numbers(filename), network)
    state: dict[str, Tensor] = {}
    for name, conv in convolutions_in_order(network):
        _read_conv(numbers, name, conv, state)
    numbers.finish()
    for name, module in network.named_modules():
        if isinstance(module, SPP):
            parts = len(module.pools) + 1
            state[f"{name}.merge.weight"] = _reversed_inputs(state[f"{name}.merge.weight"], parts)
    own = network.state_dict()
    assert own.keys() == state.keys() and all(own[name].shape == state[name].shape for name in own)
    return {name: state[name] for name in own}


def read_numbers(filename: str | os.PathLike[str]) -> Tensor:
    """All numbers behind the header of a file, ``Tensor[P]`` in float32.

    The header is three 32-bit integers, the last two of a version among them, and the number of images seen in
    training, which has 64 bits since version 0.2.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the header is none of Darknet's, or the file does not end with a whole number.
    """
    path = Path(filename)
    if not path.is_file():
        raise FileNotFoundError(f"no such weight file: {path}")
    content = path.read_bytes()
    if len(content) < 16:
        raise ValueError(f"{len(content)} bytes are less than the header of a Darknet file")
    major, minor, _ = struct.unpack_from("<3i", content)
    if not (0 <= major < 10 and 0 <= minor < 10):
        raise ValueError(f"not a Darknet file: its header names the version {major}.{minor}")
    start = 20 if (major, minor) >= (0, 2) else 16
    if len(content) < start or (len(content) - start) % 4:
        raise ValueError(f"{len(content)} bytes are no header of {start} bytes and 32-bit numbers")
    return torch.frombuffer(bytearray(content), dtype=torch.float32, offset=start)


def convolutions_in_order(network: YOLONetwork) -> list[tuple[str, Conv2d]]:
    """The convolutions as Darknet runs them: each prediction right behind the row that it reads."""
    names = [node.name for node in network_graph(network).nodes if node.name.startswith("layers.")]
    by_row: dict[int, list[str]] = {}
    for name in names:
        by_row.setdefault(int(name.split(".")[1]), []).append(name)
    for level, row in enumerate(get_family(network.family, network.size).layout(network.size).head.sources):
        by_row[row].append(f"head.predictors.{level}")
    found = []
    for name in (name for row in sorted(by_row) for name in by_row[row]):
        module = network.get_submodule(name)
        assert isinstance(module, Conv2d)
        found.append((name, module))
    return found


class _Numbers:
    """Hands out the numbers of a file one after the other, each once."""

    def __init__(self, numbers: Tensor, network: YOLONetwork) -> None:
        state = network.state_dict()
        needed = sum(tensor.numel() for tensor in state.values() if tensor.is_floating_point())
        if len(numbers) != needed:
            raise ValueError(
                f"the file has {len(numbers)} numbers, but {network.family} of size {network.size} with "
                f"{network.num_classes} classes needs {needed}; check the size and the number of classes"
            )
        if not numbers.isfinite().all():
            raise ValueError("the file holds numbers that are not finite")
        self._numbers = numbers
        self._next = 0

    def take(self, *shape: int) -> Tensor:
        count = int(torch.Size(shape).numel())
        self._next += count
        return self._numbers[self._next - count : self._next].view(shape).clone()

    def finish(self) -> None:
        assert self._next == len(self._numbers)


def _read_conv(numbers: _Numbers, name: str, conv: Conv2d, state: dict[str, Tensor]) -> None:
    channels = conv.out_channels
    if conv.norm is None:
        state[f"{name}.bias"] = numbers.take(channels)
    else:
        assert isinstance(conv.norm, nn.BatchNorm2d)
        bias, scale, mean, variance = (numbers.take(channels) for _ in range(4))
        factor = ((variance.double() + conv.norm.eps) / (variance.double() + _EPS)).sqrt()
        entries = {"weight": (scale * factor).float(), "bias": bias, "running_mean": mean, "running_var": variance}
        entries["num_batches_tracked"] = torch.zeros((), dtype=torch.long)
        state.update({f"{name}.norm.{key}": value for key, value in entries.items()})
    state[f"{name}.weight"] = numbers.take(*conv.weight.shape)


def _reversed_inputs(weight: Tensor, parts: int) -> Tensor:
    """Darknet joins the pooled maps from the largest window to the smallest, then the input itself."""
    return torch.cat(weight.chunk(parts, 1)[::-1], 1)
