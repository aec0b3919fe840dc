"""Which levels a quantized tensor can take, and what integer hardware can do with them."""

from .codebook_grid import CodebookGrid
from .grid import Grid, broadcast
from .integer_grid import IntegerGrid
from .interval_grid import IntervalGrid
