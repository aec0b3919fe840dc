"""Parameter names of torchvision's ResNets, turned into the names of this package."""

import re
from typing import TypeVar

T = TypeVar("T")

_LAYER = re.compile(r"layer([1-4])\.(\d+)\.(conv|bn|downsample\.)(\d)\.(.+)")
_SIGNATURE = ("conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer4.0.conv1.weight")


def is_torchvision_resnet(state_dict: dict[str, object]) -> bool:
    """Whether these are the names of ``torchvision.models.resnet*`` or a ResNeXt."""
    return all(name in state_dict for name in _SIGNATURE)


def convert_torchvision_names(state_dict: dict[str, T]) -> dict[str, T]:
    """Rename ``layer1.0.bn2.bias`` to ``res2.0.conv2.norm.bias``, and so on; values are handed on as they are."""
    return {_convert(name): value for name, value in state_dict.items()}


def _convert(name: str) -> str:
    for old, new in (("conv1.", "stem.conv1."), ("bn1.", "stem.conv1.norm."), ("fc.", "linear.")):
        if name.startswith(old):
            return new + name.removeprefix(old)
    match = _LAYER.fullmatch(name)
    if match is None:
        return name
    layer, block, kind, index, leaf = match.groups()
    if kind == "downsample.":
        part = "shortcut" if index == "0" else "shortcut.norm"
    else:
        part = f"conv{index}" if kind == "conv" else f"conv{index}.norm"
    return f"res{int(layer) + 1}.{block}.{part}.{leaf}"
