"""From a traced graph to operations on integers: one family of operators a file."""

from .compiling import compile_program
from .errors import IntegerLoweringError
