"""What is known about the objects of one image."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from detectron2.layers.wrappers import check_if_dynamo_compiling


class Instances:
    """A table of the objects in one image: named fields of equal length, one entry an object.

    Fields are attributes: ``instances.gt_boxes = Boxes(...)``. Whatever has a length will do (tensors, lists,
    ``Boxes``, ``BitMasks``, ...). Indexing picks objects: ``instances[instances.scores > 0.5]``.
    """

    def __init__(self, image_size: tuple[int, int], **kwargs: Any) -> None:
        """
        Args:
            image_size: height and width of the image.
            kwargs: first fields.
        """
        self._image_size = image_size
        self._fields: dict[str, Any] = {}
        for name, value in kwargs.items():
            self.set(name, value)

    def __setattr__(self, name: str, val: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, val)
        else:
            self.set(name, val)

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("_fields", {})  # absent while a copy is being put together
        if name not in fields:
            raise AttributeError(f"Instances has no field {name!r}; its fields are {sorted(fields)}")
        return fields[name]

    def set(self, name: str, value: Any) -> None:
        """Add or replace a field.

        Raises:
            ValueError: a value without a length, or with another one than the other fields have.
        """
        # lengths under torch.export are symbols, which cannot be compared yet
        if not check_if_dynamo_compiling():
            if not hasattr(value, "__len__"):
                raise ValueError(
                    f"field {name!r} of Instances needs one entry for each object, got {type(value).__name__}"
                )
            others = [other for other in self._fields if other != name]
            if others and len(value) != len(self._fields[others[0]]):
                raise ValueError(
                    f"field {name!r} has {len(value)} entries, but these Instances hold "
                    f"{len(self._fields[others[0]])} objects (field {others[0]!r})"
                )
        self._fields[name] = value

    def to(self, *args: Any, **kwargs: Any) -> "Instances":
        """Call ``to`` of every field that has it; the others are carried over."""
        return self._map(lambda value: value.to(*args, **kwargs) if hasattr(value, "to") else value)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self._image_size

    def get_fields(self) -> dict[str, Any]:
        """All fields by name: the table itself, not a copy."""
        return self._fields

    def get(self, name: str) -> Any:
        """Value of a field; KeyError if there is none of this name."""
        return self.get_fields()[name]

    def has(self, name: str) -> bool:
        """Whether there is a field of this name."""
        return name in self.get_fields()

    def remove(self, name: str) -> None:
        """Delete a field; KeyError if there is none of this name."""
        self.get_fields().pop(name)

    def __getitem__(self, item: int | slice | torch.BoolTensor) -> "Instances":
        """Some of the objects: by an int, a slice, indices or a bool mask, as far as every field allows.

        Raises:
            IndexError: an int outside the table.
        """
        if isinstance(item, int):
            if not -len(self) <= item < len(self):
                raise IndexError(f"index {item} of Instances with {len(self)} objects")
            item = slice(item, item + 1 or None)
        return self._map(lambda value: _pick(value, item))

    def __len__(self) -> int:
        for value in self._fields.values():
            return len(value)
        raise NotImplementedError("Instances without fields has no length")

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError("Instances cannot be iterated; index it instead: instances[i]")

    @staticmethod
    def cat(instance_lists: list["Instances"]) -> "Instances":
        """One table of all objects.

        Args:
            instance_lists: tables of the same image size and the same fields.

        Raises:
            ValueError: no tables, sizes or fields that differ, or a field that cannot be concatenated.
        """
        if len(instance_lists) == 0:
            raise ValueError("Instances.cat got no Instances")
        first = instance_lists[0]
        if len(instance_lists) == 1:
            return first
        for other in instance_lists[1:]:
            if other.image_size != first.image_size:
                raise ValueError(f"Instances.cat: image sizes {first.image_size} and {other.image_size} differ")
            if other._fields.keys() != first._fields.keys():
                raise ValueError(f"Instances.cat: fields {sorted(first._fields)} and {sorted(other._fields)} differ")
        joined = Instances(first.image_size)
        for name in first._fields:
            joined.set(name, _concatenate(name, [table.get(name) for table in instance_lists]))
        return joined

    def _map(self, function: Any) -> "Instances":
        result = Instances(self._image_size)
        for name, value in self._fields.items():
            result.set(name, function(value))
        return result

    def __str__(self) -> str:
        count = len(self) if self._fields else 0
        height, width = self._image_size
        fields = ", ".join(f"{name}: {value}" for name, value in self._fields.items())
        size = f"image_height={height}, image_width={width}"
        return f"{type(self).__name__}(num_instances={count}, {size}, fields=[{fields}])"

    __repr__ = __str__


def _pick(value: Any, item: Any) -> Any:
    """Entries of one field; a list takes masks and indices too."""
    if not isinstance(value, list) or isinstance(item, slice):
        return value[item]
    indices = torch.as_tensor(item)
    if indices.dtype == torch.bool:
        indices = indices.nonzero()[:, 0]
    return [value[i] for i in indices.tolist()]


def _concatenate(name: str, values: list[Any]) -> Any:
    kind = type(values[0])
    if isinstance(values[0], Tensor):
        return torch.cat(values, dim=0)
    if isinstance(values[0], list):
        return list(itertools.chain(*values))
    if hasattr(kind, "cat"):
        return kind.cat(values)
    raise ValueError(f"Instances.cat: field {name!r} is of {kind.__name__}, which has no `cat`")
