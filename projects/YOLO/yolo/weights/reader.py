"""State dicts from PyTorch files of any kind."""

import os
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from detectron2.checkpoint.safe_load import UnsafeFileError, load_torch

from .foreign import ForeignObject, collect_tensors, load_foreign

__all__ = ["read_state_dict"]

# Where checkpoints keep the model; averaged weights are the better ones.
_MODEL_KEYS = ("ema", "model", "state_dict", "model_state_dict")
_PARALLEL = "module."


def read_state_dict(filename: str | os.PathLike[str], allow_torchscript: bool = False) -> dict[str, Tensor]:
    """The tensors of a model in a ``.pt`` or ``.pth`` file, under the names in it.

    State dicts are read as they are. Whole models are read without their classes, see :mod:`.foreign`. Where a file
    has both, averaged weights (``ema``) go before the last ones (``model``).

    Args:
        filename: local path.
        allow_torchscript: load TorchScript files too, which hold programs.

    Returns:
        name -> tensor on the CPU; floating tensors are float32.

    Raises:
        FileNotFoundError: there is no such file.
        UnsafeFileError: it asks for what models do not need, or is TorchScript and that is not allowed.
        ValueError: it is broken, or has no model.
    """
    path = os.fspath(filename)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no such weight file: {path}")
    tensors = _read_torchscript(path, allow_torchscript) if _is_torchscript(path) else _tensors_of(_load(path), path)
    return _plain(tensors)


def _load(path: str) -> Any:
    try:
        return load_torch(path)
    except UnsafeFileError:
        if not zipfile.is_zipfile(path):
            raise ValueError(
                f"{path}: a whole model in the format of PyTorch before 1.6, which cannot be read without its classes. "
                "Save its state dict with the package that made it"
            ) from None
    return load_foreign(path)


def _is_torchscript(path: str) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.partition("/")[2].startswith(("code/", "constants.pkl")) for name in archive.namelist())


def _read_torchscript(path: str, allowed: bool) -> dict[str, Tensor]:
    if not allowed:
        raise UnsafeFileError(
            f"{path}: a TorchScript file, which holds a program. If you trust it, allow it with --allow-torchscript"
        )
    return torch.jit.load(path, map_location="cpu").state_dict()


def _tensors_of(loaded: Any, path: str) -> Mapping[str, Tensor]:
    if isinstance(loaded, Mapping):
        for key in _MODEL_KEYS:
            if isinstance(loaded.get(key), Mapping | ForeignObject):
                return _tensors_of(loaded[key], path)
        if loaded and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()):
            return loaded
        raise ValueError(
            f"{path}: no model under {', '.join(_MODEL_KEYS)} (there are: {', '.join(map(str, list(loaded)[:10]))})"
        )
    if isinstance(loaded, ForeignObject):
        try:
            return collect_tensors(loaded)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    raise ValueError(f"{path}: holds a {type(loaded).__name__}, not a model or a state dict")


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    parallel = all(name.startswith(_PARALLEL) for name in tensors)
    plain = {}
    for name, tensor in tensors.items():
        dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
        plain[name.removeprefix(_PARALLEL) if parallel else name] = tensor.detach().to(dtype, copy=True).contiguous()
    return plain
