"""OpenVINO on the CPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .runner import Runner, Session


class OpenVINO(Runner):
    """OpenVINO's CPU plugin, which reads Q/DQ as it compiles a file; what is not integer stays float32."""

    name = "openvino"
    package = "openvino"
    module = "openvino"

    def _load(self, model: bytes, threads: int) -> Session:
        import openvino

        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        core = openvino.Core()
        return _Session(core.compile_model(core.read_model(model), "CPU", settings))


class _Session(Session):
    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self._request = compiled.create_infer_request()
        self.input_names = [port.any_name for port in compiled.inputs]
        self.output_names = [port.any_name for port in compiled.outputs]

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        self._request.infer([np.ascontiguousarray(value) for value in inputs])
        return [np.array(self._request.get_output_tensor(i).data) for i in range(len(self.output_names))]
