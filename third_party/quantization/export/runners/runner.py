"""What all engines have in common."""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np


class Session(ABC):
    """A file that is loaded and ready.

    Attributes:
        input_names: of the file.
        output_names: of the file, then of the taps.
    """

    input_names: list[str]
    output_names: list[str]

    @abstractmethod
    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Outputs, in the order of ``output_names``, for inputs in the order of ``input_names``."""


class Runner(ABC):
    """An engine.

    Attributes:
        name: what it is called here; also the name of its export target.
        package: what has to be installed.
        module: what is imported.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    module: ClassVar[str]

    def problem(self) -> str | None:
        """Why the engine cannot run here; None: it can."""
        if importlib.util.find_spec(self.module) is None:
            return f"engine {self.name} needs the package {self.package}: pip install {self.package}"
        return None

    def available(self) -> bool:
        """Whether the engine can run here."""
        return self.problem() is None

    def load(self, path: str | Path, *, threads: int = 0, taps: Sequence[str] = ()) -> Session:
        """Make a file ready.

        Args:
            path: an ONNX file.
            threads: how many to use; 0 leaves it to the engine.
            taps: names of tensors inside of the file that are to be outputs, too.

        Raises:
            ImportError: the engine is not installed.
            FileNotFoundError: there is no such file.
            ValueError: taps that are not in the file.
        """
        if problem := self.problem():
            raise ImportError(problem)
        if not Path(path).is_file():
            raise FileNotFoundError(f"engine {self.name}: no file {path}")
        if not taps:
            return self._load(Path(path).read_bytes(), threads)
        content, names = tapped(path, taps)
        session = self._load(content, threads)
        session.output_names = names  # some engines give tensors names of their own
        return session

    @abstractmethod
    def _load(self, model: bytes, threads: int) -> Session:
        """Make a file's content ready; outputs in the order of the file."""


def tapped(path: str | Path, taps: Sequence[str]) -> tuple[bytes, list[str]]:
    """A file's content with further tensors among its outputs, and the names of all outputs.

    Raises:
        ValueError: tensors that are not in the file.
    """
    import onnx

    model = onnx.load(path)
    outputs = {output.name for output in model.graph.output}
    inside = {name for node in model.graph.node for name in node.output}
    if unknown := [name for name in taps if name not in inside]:
        raise ValueError(f"{path} has no tensors {', '.join(unknown)}")
    for name in taps:
        if name not in outputs:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return model.SerializeToString(), [output.name for output in model.graph.output]
