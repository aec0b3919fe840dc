"""Which layers are treated how: what each costs, what changing it alone does to the loss, the best under a budget.

It measures and chooses; a recipe carries out what was chosen.
"""

from .alternatives import OBSERVED, SAFER, SMALLER, USUAL, Alternative, choices_of, layer_options
from .costs import layer_costs
from .search import Assignment, Option, Solver
from .sensitivity import SensitivityRow, SensitivityTable, sensitivity
from .treatments import alternative_trials, range_setter
from .trials import layers_with_quantizers, measure_trials
