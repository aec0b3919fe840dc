"""Reports on quantized models: numbers in, JSON and one self-contained HTML page out.

    report = Report(title="RetinaNet, W8A8", accuracy=(ApTable((ApRow("float", {"AP": 40.1}),)),))
    write_json(report, "report.json")
    write_html(report, "report.html")

Nothing here knows how the numbers were made.
"""

from .html import render, write_html
from .json_report import plain, to_json, write_json
from .model import (
    ApRow,
    ApTable,
    Audit,
    Balance,
    Candidate,
    ClassAp,
    Confidence,
    ConfidenceRow,
    Curve,
    CurvePoint,
    DomainRow,
    FileSize,
    Finding,
    Histogram,
    Latency,
    LayerRow,
    LayerSqnr,
    Parity,
    ParityTensor,
    PicturePair,
    RangeRow,
    Report,
    Search,
    Sensitivity,
    SensitivityRow,
    Sizes,
    SliceRow,
)
