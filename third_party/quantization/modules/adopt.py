"""Making one module out of the parts of another."""

import warnings
from typing import Any

from torch import nn

# Copied shallowly: the new module adds children of its own, the parts themselves stay the same objects.
_REGISTRIES = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")
# These hold on to the module that they were registered with.
_STATE_DICT_HOOKS = (
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def adopt(module: nn.Module, source: nn.Module) -> None:
    """Give ``module`` all that ``source`` has: settings, the very same parameters, buffers and children, its mode.

    Names stay, so that a checkpoint of ``source`` fits. Forward and backward hooks come along, and their handles go
    on working; hooks of the state dict are bound to ``source`` and stay behind, with a warning. Replaces what
    ``nn.Module.__init__`` of ``module`` had set up.
    """
    for name, value in source.__dict__.items():
        if name in _STATE_DICT_HOOKS:
            if value:
                warnings.warn(
                    f"{type(source).__name__} has hooks on its state dict, which {type(module).__name__} does not take "
                    "over: register them again on the new module",
                    stacklevel=2,
                )
        else:
            module.__dict__[name] = value.copy() if name in _REGISTRIES else value


def type_names(module: nn.Module) -> tuple[str, ...]:
    """Names of the module's class and its bases, nearest first; of the float layer if it was made from one."""
    made_from: Any = getattr(module, "float_type_names", None)
    return made_from or tuple(
        t.__name__ for t in type(module).__mro__ if issubclass(t, nn.Module) and t is not nn.Module
    )
