"""From a model to its parts: by its class, or by what it offers."""

from collections.abc import Callable
from typing import Any

from torch import nn

from .parts import DetectorParts

PartsBuilder = Callable[[Any], DetectorParts]  # each takes models of its class

_BUILDERS: dict[type, PartsBuilder] = {}


def register_parts(model_class: type) -> Callable[[PartsBuilder], PartsBuilder]:
    """Decorator of a function that gives the parts of models of a class and of classes derived from it.

    Args:
        model_class: the class; one with ``__subclasshook__`` or a runtime protocol stands for all that offer the same.

    Raises:
        ValueError: the class has a function already.
    """

    def register(builder: PartsBuilder) -> PartsBuilder:
        if model_class in _BUILDERS:
            raise ValueError(f"{model_class.__name__} has parts already: {_BUILDERS[model_class].__name__}")
        _BUILDERS[model_class] = builder
        return builder

    return register


def detector_parts(model: nn.Module) -> DetectorParts:
    """The exportable forms of a detector.

    Args:
        model: in evaluation mode; float, quantized or converted.

    Raises:
        ValueError: the model trains, or no exportable form is known for its class.
    """
    if model.training:
        raise ValueError(f"{type(model).__name__} is in training mode: call model.eval() before taking its parts")
    exact = next((_BUILDERS[base] for base in type(model).__mro__ if base in _BUILDERS), None)
    builder = exact or next((build for kind, build in _BUILDERS.items() if isinstance(model, kind)), None)
    if builder is None:
        known = ", ".join(sorted(kind.__name__ for kind in _BUILDERS))
        raise ValueError(
            f"no exportable form of {type(model).__name__} is known; there are some of {known}: "
            "write a function and register it with third_party.deploy.register_parts"
        )
    return builder(model)
