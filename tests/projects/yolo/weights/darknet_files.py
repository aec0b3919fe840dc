"""Networks as Darknet describes them, drawn weights for them, and an interpreter that runs them layer by layer."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-5


@dataclass(frozen=True)
class Layer:
    """One section of a network's description; ``sources`` of a route count back from it if negative."""

    kind: str
    channels: int = 0
    size: int = 1
    stride: int = 1
    sources: tuple[int, ...] = ()


def conv(channels: int, size: int = 3, stride: int = 1) -> Layer:
    return Layer("conv", channels, size, stride)


def pool(size: int, stride: int) -> Layer:
    return Layer("pool", size=size, stride=stride)


def route(*sources: int) -> Layer:
    return Layer("route", sources=sources)


def residuals(channels: int, count: int) -> list[Layer]:
    return [conv(channels, stride=2)] + [conv(channels // 2, 1), conv(channels), Layer("shortcut")] * count


def detection(channels: int) -> list[Layer]:
    return [Layer("linear", channels), Layer("yolo")]


def upwards(channels: int, other: int) -> list[Layer]:
    return [route(-4), conv(channels, 1), Layer("upsample"), route(-1, other)]


def tiny(outputs: int) -> list[Layer]:
    """``yolov3-tiny``."""
    layers = [part for channels in (16, 32, 64, 128, 256) for part in (conv(channels), pool(2, 2))]
    layers += [conv(512), pool(2, 1), conv(1024), conv(256, 1), conv(512), *detection(outputs)]
    return [*layers, *upwards(128, 8), conv(256), *detection(outputs)]


def spp(outputs: int) -> list[Layer]:
    """``yolov3-spp``."""
    layers = [conv(32), *residuals(64, 1), *residuals(128, 2), *residuals(256, 8)]
    layers += [*residuals(512, 8), *residuals(1024, 4), conv(512, 1), conv(1024), conv(512, 1)]
    layers += [pool(5, 1), route(-2), pool(9, 1), route(-4), pool(13, 1), route(-1, -3, -5, -6)]
    layers += [conv(512, 1), conv(1024), conv(512, 1), conv(1024), *detection(outputs), *upwards(256, 61)]
    layers += [conv(256, 1), conv(512)] * 3 + [*detection(outputs), *upwards(128, 36)]
    return layers + [conv(128, 1), conv(256)] * 3 + detection(outputs)


def draw(layers: list[Layer], channels: int = 3, seed: int = 0) -> list[np.ndarray]:
    """Arrays in the order in which a file has them."""
    random, widths, found = np.random.default_rng(seed), [], []
    for index, layer in enumerate(layers):
        before = widths[-1] if widths else channels
        if layer.kind in ("conv", "linear"):
            width = layer.channels
            found.append(0.1 * random.standard_normal(width))
            if layer.kind == "conv":
                found += [1 + 0.1 * random.standard_normal(width), 0.1 * random.standard_normal(width)]
                found.append(random.uniform(0.5, 1.5, width))
            shape = (width, before, layer.size, layer.size)
            scale = np.float32(np.sqrt(1.5 / np.prod(shape[1:])))
            found.append(random.standard_normal(shape, dtype=np.float32) * scale)
        elif layer.kind == "route":
            width = sum(widths[index + s if s < 0 else s] for s in layer.sources)
        else:
            width = before
        widths.append(width)
    return [array.astype(np.float32) for array in found]


def write(path: Path, arrays: list[np.ndarray], version: tuple[int, int] = (0, 2)) -> Path:
    """A ``.weights`` file."""
    with open(path, "wb") as file:
        file.write(struct.pack("<3i", *version, 0))
        file.write(struct.pack("<q" if version >= (0, 2) else "<i", 64000))
        for array in arrays:
            file.write(array.astype("<f4").tobytes())
    return path


def run(layers: list[Layer], arrays: list[np.ndarray], image: Tensor) -> list[Tensor]:
    """What the detection layers read, from the coarsest level to the finest."""
    parts: Iterator[Tensor] = map(torch.from_numpy, arrays)
    outputs: list[Tensor] = []
    detections = []
    for index, layer in enumerate(layers):
        x = outputs[-1] if outputs else image
        if layer.kind == "conv":
            x = _conv(x, layer, parts)
        elif layer.kind == "linear":
            bias = next(parts)
            x = F.conv2d(x, next(parts), bias)
        elif layer.kind == "pool":
            x = _pool(x, layer)
        elif layer.kind == "shortcut":
            x = x + outputs[-3]
        elif layer.kind == "upsample":
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        elif layer.kind == "route":
            x = torch.cat([outputs[index + s if s < 0 else s] for s in layer.sources], 1)
        else:
            detections.append(x)
        outputs.append(x)
    return detections


def _conv(x: Tensor, layer: Layer, parts: Iterator[Tensor]) -> Tensor:
    shift, scale, mean, variance = (next(parts)[:, None, None] for _ in range(4))
    x = F.conv2d(x, next(parts), stride=layer.stride, padding=layer.size // 2)
    x = (x - mean) / (variance + EPS).sqrt() * scale + shift
    return torch.where(x > 0, x, 0.1 * x)


def _pool(x: Tensor, layer: Layer) -> Tensor:
    """Padding of ``size - 1`` in all, the smaller half in front; what lies outside does not count."""
    front = (layer.size - 1) // 2
    back = layer.size - 1 - front
    padded = F.pad(x, (front, back, front, back), value=float("-inf"))
    height, width = x.shape[2] // layer.stride, x.shape[3] // layer.stride
    return F.max_pool2d(padded, layer.size, layer.stride)[..., :height, :width]
