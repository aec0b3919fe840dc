"""A quantized file to compare, and what was found about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from third_party.quantization.export import find_runner

Arrays = Sequence[np.ndarray]


@dataclass
class Candidate:
    """One file on one engine.

    Attributes:
        maker: who quantized it: "float", "ours", or the name of a peer.
        settings: how.
        engine: that runs it.
        path: ONNX, or XML of OpenVINO.
        ap: average precision of boxes in percent; None: not measured.
        agreement: the same against the float model's own detections.
        milliseconds: median CPU time of a call.
        seconds: CPU time that quantizing took.
    """

    maker: str
    settings: str
    engine: str
    path: Path
    ap: float | None = None
    agreement: float | None = None
    milliseconds: float | None = None
    seconds: float | None = None

    @property
    def mebibytes(self) -> float:
        """Size of the file, with the weights that stand beside it."""
        weights = self.path.with_suffix(".bin")
        beside = weights.stat().st_size if self.path.suffix == ".xml" and weights.is_file() else 0
        return (self.path.stat().st_size + beside) / 2**20

    def load(self, threads: int) -> Any:
        """A session with ``run(inputs) -> outputs``."""
        if self.path.suffix == ".xml":
            return _XmlSession(self.path, threads)
        return find_runner(self.engine).load(self.path, threads=threads)


class _XmlSession:
    """OpenVINO's own format, under the settings that exported files run with."""

    def __init__(self, path: Path, threads: int) -> None:
        import openvino

        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(path, "CPU", settings | {"INFERENCE_NUM_THREADS": threads})
        self._request, self._outputs = compiled.create_infer_request(), len(compiled.outputs)

    def run(self, inputs: Arrays) -> list[np.ndarray]:
        self._request.infer([np.ascontiguousarray(value) for value in inputs])
        return [np.array(self._request.get_output_tensor(i).data) for i in range(self._outputs)]


COLUMNS = ("engine", "by", "settings", "AP", "agreement", "CPU ms", "MiB", "quantizing, CPU s")


def table(candidates: Sequence[Candidate]) -> str:
    """All candidates as text."""
    from tabulate import tabulate

    cells = [
        (one.engine, one.maker, one.settings, one.ap, one.agreement, one.milliseconds, one.mebibytes, one.seconds)
        for one in candidates
    ]
    return str(tabulate(cells, headers=COLUMNS, floatfmt=".2f", missingval="-"))
