"""Traced programs as sessions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch


class TorchProgram:
    """A ``.pt2`` program as a session, for :func:`.prediction.predict`.

    Sizes are not checked against what tracing noted: the graph also holds for maps of one cell, which were not traced.

    Args:
        file: written by ``torch.export.save``.
        device: "cpu" or "cuda".
    """

    def __init__(self, file: str | Path, device: str = "cpu") -> None:
        from torch.export.passes import move_to_device_pass

        program = torch.export.load(str(file))
        self.device = device
        program = program if device == "cpu" else move_to_device_pass(program, device)
        self.module: Any = program.module(check_guards=False)

    @torch.no_grad()
    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See :class:`.prediction.Session`."""
        outputs = self.module(*(torch.from_numpy(value).to(self.device) for value in inputs))
        return [output.cpu().numpy() for output in outputs]
