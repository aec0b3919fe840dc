"""Steps of quantizing a detector, each a command of its own.

A step is a module with ``add_arguments(parser)`` and ``run(args)``. Its first line says what it does.
"""

from types import ModuleType

from . import audit, calibrate, evaluate, export, parity, report, sensitivity

STEPS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (calibrate, evaluate, sensitivity, audit, export, parity, report)
}
