"""Estimators of clipping ranges: one a file, each a function of values, levels and settings."""

from .lsq import lsq_range
from .max import max_range
from .mse import mse_range
from .percentile import percentile_range
from .registry import ESTIMATORS, Estimator, Range, estimate_range, register_estimator
