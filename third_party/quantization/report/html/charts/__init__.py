"""Charts as vector graphics."""

from .bars import Bars, bar_chart
from .columns import column_chart
from .curve import curve_chart
from .histogram import histogram_chart
