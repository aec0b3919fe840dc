"""From a published state dict to that of a network here: every tensor exactly once, or a list of those that are not."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..families.names import is_constant
from ..network import YOLONetwork, build_network
from .reader import read_state_dict

__all__ = ["convert_file", "convert_state_dict", "network_on_meta"]

_LISTED = 20
# Tensors that a network may do without, and the values with which they change nothing (YOLOR, section 3.2).
_NEUTRAL = {".ia.": 0.0, ".im.": 1.0}
# Half precision keeps 11 bits.
_ANCHOR_TOLERANCE = 2e-3


def network_on_meta(family: str, size: str, num_classes: int) -> YOLONetwork:
    """A network without memory for its weights; the arguments are those of :func:`build_network`."""
    with torch.device("meta"):
        return build_network(family, size, num_classes).eval()


def convert_file(
    filename: str | os.PathLike[str], family: str, size: str, num_classes: int = 80, allow_torchscript: bool = False
) -> dict[str, Tensor]:
    """The state dict of a network here from a file of trained weights.

    Args:
        filename: ``.pt`` or ``.pth`` (see :func:`read_state_dict`), ``.onnx`` (see :mod:`.onnx_reader`), or
            ``.weights`` (see :mod:`.darknet`).
        family, size: of the network, such as "yolov8" and "n".
        num_classes: that it was trained for.
        allow_torchscript: load TorchScript files too, which hold programs.

    Returns:
        name in the network's ``state_dict()`` -> tensor.

    Raises:
        KeyError: there is no such family or size.
        ValueError: the file is broken or unsafe, or does not fit the network; the message lists what does not.
    """
    network = network_on_meta(family, size, num_classes)
    try:
        suffix = Path(filename).suffix.lower()
        if suffix == ".onnx":
            from .onnx_reader import convert_onnx

            return convert_onnx(filename, network)
        if suffix == ".weights":
            from .darknet import convert_darknet

            return convert_darknet(filename, network)
        return convert_state_dict(read_state_dict(filename, allow_torchscript), network)
    except ValueError as error:
        told = str(error)
        raise type(error)(told if told.startswith(os.fspath(filename)) else f"{os.fspath(filename)}: {told}") from error


def convert_state_dict(source: Mapping[str, Tensor], network: YOLONetwork) -> dict[str, Tensor]:
    """A published state dict under the names of a network.

    The implicit tensors of YOLOv7 may be missing all together, as in files for deployment.

    Args:
        source: published name -> tensor.
        network: which it is for; only names and shapes of its tensors are read.

    Raises:
        ValueError: tensors are missing, left over, or of another shape, or the anchors are others.
    """
    own, names = network.state_dict(), network.source_names()
    neutral = _neutral({theirs: own[ours] for ours, theirs in names.items()}, source)
    given = {**source, **neutral}
    expected = {theirs: own[ours] for ours, theirs in names.items()}
    problems = [
        _listed("missing", expected.keys() - given.keys(), lambda name: _shape(expected[name])),
        _listed(
            "not used",
            {name for name in given.keys() - expected.keys() if not is_constant(name)},
            lambda name: _shape(given[name]),
        ),
        _listed(
            "of another shape",
            {name for name in given.keys() & expected.keys() if given[name].shape != expected[name].shape},
            lambda name: f"{_shape(given[name])} in the file, {_shape(expected[name])} in the network",
        ),
    ]
    if any(problems):
        raise ValueError(
            f"the weights do not fit {network.family} of size {network.size} with {network.num_classes} classes; "
            "check the family, the size and the number of classes\n" + "\n".join(filter(None, problems))
        )
    _check_anchors(source, network)
    return {ours: given[theirs].to(own[ours].dtype) for ours, theirs in names.items()}


def _neutral(expected: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> dict[str, Tensor]:
    implicit = {name: value for name in expected for part, value in _NEUTRAL.items() if part in name}
    if any(name in source for name in implicit):
        return {}
    return {name: torch.full(expected[name].shape, value) for name, value in implicit.items()}


def _check_anchors(source: Mapping[str, Tensor], network: YOLONetwork) -> None:
    """Published anchors are in cells, those here in pixels."""
    if network.anchors is None:
        return
    own = torch.tensor(network.anchors) / torch.tensor(network.strides, dtype=torch.float32)[:, None, None]
    for name, tensor in source.items():
        if not name.endswith(".anchors"):
            continue
        if tensor.shape != own.shape or not torch.allclose(tensor.float(), own, rtol=_ANCHOR_TOLERANCE):
            raise ValueError(
                f"{name}: the weights were trained with other anchors than those of {network.family}; "
                f"in cells they are {tensor.tolist()}, not {own.tolist()}"
            )


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _listed(what: str, names: Iterable[str], describe: Callable[[str], str]) -> str:
    ordered = sorted(names)
    if not ordered:
        return ""
    rest = f"\n  and {len(ordered) - _LISTED} more" if len(ordered) > _LISTED else ""
    lines = "".join(f"\n  {name} ({describe(name)})" for name in ordered[:_LISTED])
    return f"{len(ordered)} {what}:{lines}{rest}"
