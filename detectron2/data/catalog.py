"""Data sets by name, and what is known of each besides its samples."""

import copy
import difflib
import types
from collections import UserDict
from collections.abc import Callable
from typing import Any

from detectron2.utils.logger import log_first_n

__all__ = ["DatasetCatalog", "MetadataCatalog", "Metadata"]


def _near(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=5, cutoff=0.4)
    return f"close names: {', '.join(close)}" if close else f"registered: {', '.join(sorted(known)) or 'none'}"


class _DatasetCatalog(UserDict):
    """Functions that return a data set as a list of dictionaries, by name."""

    def register(self, name: str, func: Callable[[], list[dict]]) -> None:
        """Names a data set.

        Args:
            name: such as "coco_2017_val".
            func: without arguments; returns the same list of dictionaries at each call.

        Raises:
            ValueError: ``func`` is not callable, or the name is taken.
        """
        if not callable(func):
            raise ValueError(f"DatasetCatalog.register({name!r}, ...) needs a function, got {type(func).__name__}")
        if name in self.data:
            raise ValueError(f"data set {name!r} is registered already: DatasetCatalog.remove({name!r}) first")
        self.data[name] = func

    def get(self, name: str) -> list[dict]:
        """Calls the function registered for ``name``.

        Raises:
            KeyError: no such data set; the message lists near matches.
        """
        if name not in self.data:
            raise KeyError(f"data set {name!r} is not registered; {_near(name, list(self.data))}")
        return self.data[name]()

    def list(self) -> list[str]:
        """All names."""
        return [*self.data]

    def remove(self, name: str) -> None:
        """Forgets the data set ``name``."""
        self.data.pop(name)

    def __str__(self) -> str:
        return f"DatasetCatalog(registered datasets: {', '.join(self.data)})"

    __repr__ = __str__


DatasetCatalog = _DatasetCatalog()


class Metadata(types.SimpleNamespace):
    """What is known of a data set: ``thing_classes``, ``evaluator_type``, ... as attributes.

    A value once set cannot change to another, as code may have read it already.
    """

    name: str = "N/A"

    # Old names, kept readable for projects that still use them.
    _RENAMED = {
        "class_names": "thing_classes",
        "dataset_id_to_contiguous_id": "thing_dataset_id_to_contiguous_id",
        "stuff_class_names": "stuff_classes",
    }

    def __getattr__(self, key: str) -> Any:
        if key in self._RENAMED:
            log_first_n(30, f"Metadata.{key} was renamed to {self._RENAMED[key]}", n=10)
            return getattr(self, self._RENAMED[key])
        if key.startswith("__"):
            raise AttributeError(key)
        known = [k for k in self.__dict__ if k != "name"]
        raise AttributeError(
            f"data set {self.name!r} has no metadata {key!r}; it has: {', '.join(known) or 'none'}. "
            f"Set it with MetadataCatalog.get({self.name!r}).set({key}=...)"
        )

    def __setattr__(self, key: str, val: Any) -> None:
        if key in self._RENAMED:
            log_first_n(30, f"Metadata.{key} was renamed to {self._RENAMED[key]}", n=10)
            key = self._RENAMED[key]
        old = self.__dict__.get(key)
        if key in self.__dict__ and key != "name" and old != val:
            raise AssertionError(
                f"metadata {key!r} of data set {self.name!r} is {old!r} already and cannot become {val!r}; "
                f"MetadataCatalog.remove({self.name!r}) clears it"
            )
        super().__setattr__(key, val)

    def as_dict(self) -> dict[str, Any]:
        """A copy of all values by name."""
        return copy.copy(self.__dict__)

    def set(self, **kwargs: Any) -> "Metadata":
        """Sets several values; returns itself."""
        for key, value in kwargs.items():
            setattr(self, key, value)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or ``default`` where there is none."""
        return self.__dict__.get(self._RENAMED.get(key, key), default)


class _MetadataCatalog(UserDict):
    """:class:`Metadata` by name of the data set."""

    def get(self, name: str) -> Metadata:
        """The metadata of ``name``, made empty at the first call."""
        if not name:
            raise ValueError("MetadataCatalog.get needs the name of a data set, got an empty one")
        if name not in self.data:
            self.data[name] = Metadata(name=name)
        return self.data[name]

    def list(self) -> list[str]:
        """All names with metadata."""
        return [*self.data]

    def remove(self, name: str) -> None:
        """Forgets the metadata of ``name``."""
        self.data.pop(name)

    def __str__(self) -> str:
        return f"MetadataCatalog(registered metadata: {', '.join(self.data)})"

    __repr__ = __str__


MetadataCatalog = _MetadataCatalog()
