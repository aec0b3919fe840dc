"""Integer inference: a converted model run with integers only, as a reference for engines.

:func:`compile_program` turns a traced, converted model into an :class:`IntegerProgram`, which has two executors: one
that computes with integers only, and a simulation with whole numbers in float64. They agree on every tensor.
"""

from .code_grid import CodeGrid
from .lowering import IntegerLoweringError, compile_program
from .program import Execution, IntegerProgram, ProgramInput, QuantizedTensor
