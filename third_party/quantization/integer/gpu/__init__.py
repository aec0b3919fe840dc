"""Integer programs on NVIDIA GPUs: weighted layers and what follows them as one kernel of :mod:`.kernels`.

Importing this needs no Triton; :mod:`.plan` does.
"""

import functools
import importlib.util
import os


@functools.cache
def problem() -> str:
    """Why the kernels are not used; "" where they are."""
    if os.environ.get("QUANTIZATION_NATIVE") == "0":
        return "switched off by QUANTIZATION_NATIVE=0"
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    return ""


def interpreted() -> bool:
    """Whether Triton interprets kernels, which then take tensors of the CPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"
