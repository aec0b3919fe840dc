"""What a report may hold: plain values, all sections optional."""

from .accuracy import ApRow, ApTable, ClassAp, Confidence, ConfidenceRow, Curve, Number
from .audit import Audit, Balance, CurvePoint, DomainRow, SliceRow
from .deployment import FileSize, Finding, Latency, Parity, ParityTensor, Sizes
from .report import PicturePair, Report
from .tensors import Candidate, Histogram, LayerRow, LayerSqnr, RangeRow, Search, Sensitivity, SensitivityRow
