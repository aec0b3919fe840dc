"""ONNX Runtime on the CPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .runner import Runner, Session


class OnnxRuntime(Runner):
    """ONNX Runtime's CPU provider; it fuses Q/DQ to integer kernels as it loads a file."""

    name = "onnxruntime"
    package = "onnxruntime"
    module = "onnxruntime"

    def _load(self, model: bytes, threads: int) -> Session:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return _Session(onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]))


class _Session(Session):
    def __init__(self, session: Any) -> None:
        self._session = session
        self.input_names = [value.name for value in session.get_inputs()]
        self.output_names = [value.name for value in session.get_outputs()]

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        feeds = dict(zip(self.input_names, inputs, strict=True))
        return list(self._session.run(self.output_names, feeds))
