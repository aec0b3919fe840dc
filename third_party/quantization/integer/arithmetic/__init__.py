"""Executors: integers only, and their simulation in float64."""

from .base import Arithmetic, Window
from .integer import IntegerArithmetic
from .simulation import SimulatedArithmetic

ARITHMETICS: dict[str, type[Arithmetic]] = {
    arithmetic.name: arithmetic for arithmetic in (IntegerArithmetic, SimulatedArithmetic)
}
