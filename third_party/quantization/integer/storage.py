"""Programs as files: a zip archive of a JSON description and the bytes of all tensors; reading executes nothing."""

import dataclasses
import json
import math
import zipfile
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..files import write_whole
from .arithmetic.base import Window
from .code_grid import CodeGrid
from .operations import OPERATIONS
from .packing import PackedCodes
from .program import IntegerProgram, ProgramInput, QuantizedTensor

FORMAT, VERSION = "integer-program", 1
_DESCRIPTION, _DATA = "program.json", "tensors.bin"
_RECORDS: dict[str, Any] = {cls.__name__: cls for cls in (CodeGrid, PackedCodes, ProgramInput, QuantizedTensor, Window)}
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    + (torch.float16, torch.float32, torch.float64)
}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same program gives the same bytes


def save(program: IntegerProgram, path: str | PathLike[str]) -> None:
    """Write a program; the file appears whole or not at all."""
    data = bytearray()
    names = {cls: name for name, cls in OPERATIONS.items()}
    description = {
        "format": FORMAT,
        "version": VERSION,
        "inputs": _encode(program.inputs, data),
        "operations": [
            {"operation": names[type(operation)]} | _fields(operation, data) for operation in program.operations
        ],
        "outputs": list(program.outputs),
        "quantized": {name: _encode(tensor, data) for name, tensor in program.quantized.items()},
    }
    text = json.dumps(description, separators=(",", ":"), allow_nan=False)

    def write(place: Path) -> None:
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in ((_DESCRIPTION, text.encode()), (_DATA, bytes(data))):
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)

    write_whole(path, write)


def load(path: str | PathLike[str]) -> IntegerProgram:
    """Read a program.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no integer program, one of another version, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            description = json.loads(archive.read(_DESCRIPTION))
            data = archive.read(_DATA)
        if (description["format"], description["version"]) != (FORMAT, VERSION):
            raise ValueError(f"format {description['format']!r}, version {description['version']!r}")
        return IntegerProgram(
            tuple(_decode(item, data) for item in description["inputs"]),
            tuple(_operation(item, data) for item in description["operations"]),
            tuple(description["outputs"]),
            {name: _decode(tensor, data) for name, tensor in description["quantized"].items()},
        )
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no integer program of version {VERSION}: {error}") from error


def _operation(item: dict[str, Any], data: bytes) -> Any:
    fields = {key: _decode(value, data) for key, value in item.items() if key != "operation"}
    fields["inputs"] = tuple(fields["inputs"])
    return OPERATIONS[item["operation"]](**fields)


def _fields(record: Any, data: bytearray) -> dict[str, Any]:
    return {field.name: _encode(getattr(record, field.name), data) for field in dataclasses.fields(record)}


def _encode(value: Any, data: bytearray) -> Any:
    if isinstance(value, Tensor):
        start = len(data)
        data += value.detach().contiguous().cpu().numpy().tobytes()
        return {"#tensor": [str(value.dtype).removeprefix("torch."), list(value.shape), start]}
    if type(value).__name__ in _RECORDS:
        return {"#record": type(value).__name__} | _fields(value, data)
    if isinstance(value, float) and not math.isfinite(value):
        return {"#float": str(value)}
    if isinstance(value, dict):
        return {"#dict": {key: _encode(item, data) for key, item in value.items()}}
    return [_encode(item, data) for item in value] if isinstance(value, (list, tuple)) else value


def _decode(value: Any, data: bytes) -> Any:
    if isinstance(value, list):
        return [_decode(item, data) for item in value]
    if not isinstance(value, dict):
        return value
    if "#tensor" in value:
        return _tensor(data, *value["#tensor"])
    if "#float" in value:
        return float(value["#float"])
    if "#dict" in value:
        return {key: _decode(item, data) for key, item in value["#dict"].items()}
    fields = {key: _decode(item, data) for key, item in value.items() if key != "#record"}
    sequences = {key: tuple(item) if isinstance(item, list) else item for key, item in fields.items()}
    return _RECORDS[value["#record"]](**sequences)


def _tensor(data: bytes, dtype: str, shape: list[int], start: int) -> Tensor:
    count, size = math.prod(shape), _DTYPES[dtype].itemsize
    if start < 0 or start + count * size > len(data):
        raise ValueError("a tensor lies outside the file")
    array = np.frombuffer(data, np.uint8, count * size, start).copy()
    return torch.from_numpy(array).view(_DTYPES[dtype]).view(shape)
