"""Reading weight files without running what they say.

A pickle is a program: loading one from a stranger can run anything. PyTorch files are read with
``weights_only=True``, pickles with an unpickler that knows numbers, containers and arrays only.
"""

import io
import os
import pickle
import re
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import IO, Any

import numpy as np
import torch

UNSAFE_VARIABLE = "DETECTRON2_ALLOW_UNSAFE_PICKLE"

_CONTAINERS = (
    "list",
    "dict",
    "tuple",
    "set",
    "frozenset",
    "int",
    "float",
    "complex",
    "bool",
    "str",
    "bytes",
    "bytearray",
)
_NUMPY_PARTS = {
    "numpy": ("ndarray", "dtype"),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy.core.numeric": ("_frombuffer",),
    "numpy._core.numeric": ("_frombuffer",),
}


class UnsafeFileError(ValueError):
    """A file asks for a Python object that plain weights do not need."""


def unsafe_allowed() -> bool:
    """Whether the environment switches the protection off."""
    return os.environ.get(UNSAFE_VARIABLE, "") == "1"


def _way_out(filename: str, blocked: str) -> str:
    return (
        f"{filename}: blocked '{blocked}', which weights do not need and which could run any code. If you trust the "
        f"file, load it with allow_unsafe_pickle=True or set {UNSAFE_VARIABLE}=1"
    )


def _broken(filename: str, reason: object) -> str:
    return f"{filename}: not a whole weight file ({reason}). Perhaps a copy or download was cut off; fetch it again"


def _latin1_bytes(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes into old pickles; other codecs are not needed."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"codec {encoding}")
    return text.encode("latin1")


def _tensor_from_bytes(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _allowed_objects() -> dict[tuple[str, str], Any]:
    import builtins

    allowed: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("collections", "defaultdict"): defaultdict,
        ("_codecs", "encode"): _latin1_bytes,
        ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
        ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
        ("torch.storage", "_load_from_bytes"): _tensor_from_bytes,
    }
    for module in ("builtins", "__builtin__"):
        allowed.update({(module, name): getattr(builtins, name) for name in _CONTAINERS})
        allowed[(module, "unicode")], allowed[(module, "long")] = str, int
    reconstruct, scalar, frombuffer = _numpy_functions()
    functions = {"_reconstruct": reconstruct, "scalar": scalar, "_frombuffer": frombuffer}
    for module, names in _NUMPY_PARTS.items():
        allowed.update({(module, name): functions.get(name) or getattr(np, name) for name in names})
    return allowed


def _numpy_functions() -> tuple[Callable, Callable, Callable]:
    # NumPy 2 moved them to a private package; the old path still works in files, not in imports.
    core = getattr(np, "_core", None) or np.core
    return core.multiarray._reconstruct, core.multiarray.scalar, core.numeric._frombuffer


class RestrictedUnpickler(pickle.Unpickler):
    """Unpickles numbers, text, containers, NumPy arrays and tensors; refuses every other global by its name."""

    def __init__(self, file: IO[bytes], filename: str) -> None:
        # latin1 is what NumPy needs for arrays that were pickled by Python 2.
        super().__init__(file, encoding="latin1")
        self._filename = filename
        self._allowed = _allowed_objects()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._allowed:
            return self._allowed[(module, name)]
        raise UnsafeFileError(_way_out(self._filename, f"{module}.{name}"))


def load_pickle(filename: str, allow_unsafe: bool = False) -> Any:
    """Read a ``.pkl`` of numbers and arrays.

    Args:
        filename: local path.
        allow_unsafe: let the file import and call anything.

    Raises:
        UnsafeFileError: it asks for another object; the message names it.
        ValueError: it is cut off or no pickle.
    """
    with open(filename, "rb") as file:
        try:
            if allow_unsafe:
                return pickle.load(file, encoding="latin1")
            return RestrictedUnpickler(file, filename).load()
        except (UnsafeFileError, OSError):
            raise
        except Exception as error:
            # A damaged pickle can fail in any way, with whatever its bytes happen to mean.
            raise ValueError(_broken(filename, error)) from error


def load_torch(filename: str, allow_unsafe: bool = False) -> Any:
    """Read what ``torch.save`` wrote, onto the CPU.

    Args:
        filename: local path.
        allow_unsafe: let the file import and call anything.

    Raises:
        UnsafeFileError: it holds more than tensors and plain values; the message names what.
        ValueError: it is cut off or no PyTorch file.
    """
    reconstruct, scalar, _ = _numpy_functions()
    # Older checkpoints carry NumPy numbers beside the tensors, such as the best score so far.
    numbers = [reconstruct, scalar, np.ndarray, np.dtype, *{type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdFDSU"}]
    with torch.serialization.safe_globals(numbers):
        try:
            return torch.load(filename, map_location="cpu", weights_only=not allow_unsafe)
        except OSError:
            raise
        except Exception as error:
            # The readers of a damaged file fail in many ways: struct.error, KeyError, RuntimeError, ...
            if blocked := _blocked_in_torch_file(filename, str(error)):
                raise UnsafeFileError(_way_out(filename, blocked)) from None
            raise ValueError(_broken(filename, str(error).splitlines()[0] if str(error) else "empty")) from error


def _blocked_in_torch_file(filename: str, message: str) -> str | None:
    if "unsupported" not in message.lower():
        return None
    if zipfile.is_zipfile(filename):
        return ", ".join(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(filename)))
    # Files of the old format cannot be listed, but the message names the first one.
    found = re.search(r"GLOBAL ([\w.]+)", message)
    return found.group(1) if found else None
