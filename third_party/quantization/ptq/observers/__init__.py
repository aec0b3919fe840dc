"""Observers: how the clipping range of a tensor follows from its statistics, one a file."""

from .entropy import entropy
from .lp import lp
from .minmax import minmax
from .moving_average import moving_average
from .mse import mse
from .percentile import percentile
from .registry import OBSERVERS, Observer, ObserverContext, known_range, observe, register_observer
from .unilateral import unilateral
from .unilateral_faithful import unilateral_faithful
