"""The linter's rules, one a file."""

from . import decode_in_integers, duplicates, float_output, mixed_ranges, not_carried, saturation, unquantized_layer
from .registry import MODEL_RULES, PROGRAM_RULES, Graph
