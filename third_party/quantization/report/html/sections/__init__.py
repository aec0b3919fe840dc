"""The sections of the page, one a file: functions of the report, which give nothing where there is nothing to show."""

from collections.abc import Callable

from ...model import Report
from ..elements import Html
from . import accuracy, audit, checks, confidence, latency, layers, pictures, sensitivity, sizes, tensors
from .frame import anchor, frame
from .head import header, warnings

SECTIONS: dict[str, Callable[[Report], Html | None]] = {
    "Accuracy": accuracy.section,
    "Confidence shift": confidence.section,
    "Sizes": sizes.section,
    "Latency": latency.section,
    "Noise and ranges": tensors.section,
    "Sensitivity": sensitivity.section,
    "Calibration audit": audit.section,
    "Checks": checks.section,
    "Pictures": pictures.section,
    "Layers": layers.section,
}
