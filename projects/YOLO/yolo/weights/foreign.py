"""Whole models in PyTorch files, read without the classes that they are made of and without running what they say."""

import io
import sys
from collections import OrderedDict
from typing import IO, Any

import torch
from torch import Tensor

from detectron2.checkpoint.safe_load import RestrictedUnpickler, UnsafeFileError

__all__ = ["ForeignObject", "collect_tensors", "load_foreign"]

_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
# Settings that checkpoints carry beside the model; their values are not needed.
_HARMLESS_STANDARD = {
    "argparse": ("Namespace",),
    "types": ("SimpleNamespace",),
    "datetime": ("datetime", "date", "timedelta", "timezone"),
    "pathlib": _PATHS,
    "pathlib._local": _PATHS,
}
_LAYERS = "torch.nn.modules."
_BASES = ("torch", "numpy", "torchvision")
_DTYPES = ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
_STORAGES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "BoolStorage": torch.bool,
}


class ForeignObject:
    """Stands for an object of a class that is not built: keeps what the file says about it and does nothing.

    Attributes:
        state: the object's attributes.
    """

    __slots__ = ("state",)

    def __new__(cls, *args: Any, **kwargs: Any) -> "ForeignObject":
        made = object.__new__(cls)
        made.state = {}
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        # Objects with slots come as a pair, whose first part is the dictionary.
        plain = state[0] if isinstance(state, tuple) and state else state
        self.state = dict(plain) if isinstance(plain, dict) else {}

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Drops it."""

    def extend(self, values: Any) -> None:
        """Drops them."""


class _ModelUnpickler(RestrictedUnpickler):
    def __init__(self, file: IO[bytes], filename: str, archive: Any) -> None:
        super().__init__(file, filename)
        self._archive = archive
        self._storages: dict[str, Any] = {}
        self._allowed.update({("torch", name): getattr(torch, name) for name in (*_DTYPES, "Size", "device")})
        self._allowed.update({("torch", name): dtype for name, dtype in _STORAGES.items()})

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._allowed:
            return self._allowed[(module, name)]
        if not is_foreign(module, name):
            # Old protocols call it as Python 2 did.
            known = "builtins" if module == "__builtin__" else module
            raise UnsafeFileError(
                f"{self._filename}: blocked '{known}.{name}', which weights do not need and which could run any code"
            )
        return type(name.rpartition(".")[2], (ForeignObject,), {"__slots__": (), "__module__": module})

    def persistent_load(self, pid: Any) -> Any:
        """The tensor storage of that id, in the form that ``torch._utils._rebuild_tensor_v2`` takes."""
        kind, dtype, key, _, numel = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise ValueError(f"unknown kind of storage {kind!r}")
        if key not in self._storages:
            size = numel * dtype.itemsize
            read = self._archive.get_storage_from_record(f"data/{key}", size, torch.UntypedStorage)
            self._storages[key] = torch.storage.TypedStorage(
                wrap_storage=read._typed_storage()._untyped_storage, dtype=dtype, _internal=True
            )
        return self._storages[key]


def is_foreign(module: str, name: str) -> bool:
    """Whether a global of a pickle may be the class of a model or of its settings, for which a stand-in will do."""
    if module.startswith(_LAYERS):
        return True
    if name in _HARMLESS_STANDARD.get(module, ()):
        return True
    root = module.partition(".")[0]
    known = root in sys.stdlib_module_names or root in sys.builtin_module_names or root in ("__builtin__", *_BASES)
    return not known or module == "__main__"


def load_foreign(filename: str) -> Any:
    """Read a whole model that ``torch.save`` wrote; objects of unknown classes become :class:`ForeignObject`.

    Args:
        filename: local path of a file in PyTorch's zip format.

    Raises:
        UnsafeFileError: it asks for a function or class that models do not need; the message names it.
        ValueError: it is cut off or otherwise broken.
    """
    try:
        archive: Any = torch._C.PyTorchFileReader(filename)
        if archive.has_record("byteorder") and archive.get_record("byteorder") != sys.byteorder.encode():
            raise ValueError("its bytes are in the order of another kind of machine")
        return _ModelUnpickler(io.BytesIO(archive.get_record("data.pkl")), filename, archive).load()
    except (UnsafeFileError, OSError):
        raise
    except Exception as error:
        # A damaged pickle can fail in any way, with whatever its bytes happen to mean.
        raise ValueError(f"{filename}: not a whole weight file ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def collect_tensors(module: ForeignObject) -> dict[str, Tensor]:
    """Parameters and persistent buffers of a module and of those in it, named by their paths.

    Args:
        module: stands for an ``nn.Module``.

    Raises:
        ValueError: it is no module, or contains itself.
    """
    found: dict[str, Tensor] = OrderedDict()
    _collect(module, "", found, ())
    return found


def _collect(module: ForeignObject, prefix: str, found: dict[str, Tensor], above: tuple[ForeignObject, ...]) -> None:
    name = type(module).__name__
    if module in above:
        raise ValueError(f"the module {prefix.rstrip('.')} ({name}) contains itself")
    parts = [module.state.get(key) for key in ("_parameters", "_buffers", "_modules")]
    parameters, buffers, modules = (part if isinstance(part, dict) else {} for part in parts)
    if not all(isinstance(part, dict) for part in parts):
        raise ValueError(f"{prefix.rstrip('.') or 'the model'} is an object of the class {name}, which is no module")
    passing = module.state.get("_non_persistent_buffers_set") or ()
    kept = {key: value for key, value in buffers.items() if key not in passing}
    for key, tensor in {**parameters, **kept}.items():
        if isinstance(tensor, Tensor):
            found[f"{prefix}{key}"] = tensor
    for key, child in modules.items():
        if isinstance(child, ForeignObject):
            _collect(child, f"{prefix}{key}.", found, (*above, module))
