"""Engines that run exported files."""

from .onnxruntime import OnnxRuntime
from .openvino import OpenVINO
from .runner import Runner, Session
from .tensorrt import TensorRT

RUNNERS: dict[str, Runner] = {runner.name: runner for runner in (OnnxRuntime(), OpenVINO(), TensorRT())}


def find_runner(name: str) -> Runner:
    """The runner of an engine.

    Raises:
        ValueError: there is none of this name.
        ImportError: the engine is not installed; the message says how to get it.
    """
    if name not in RUNNERS:
        raise ValueError(f"engine must be one of {', '.join(RUNNERS)}, got {name!r}")
    if problem := RUNNERS[name].problem():
        raise ImportError(problem)
    return RUNNERS[name]


def installed() -> list[str]:
    """Names of the engines that can run here."""
    return [name for name, runner in RUNNERS.items() if runner.available()]
