"""Registries of named parts, and the way from a dotted name to a Python object and back."""

import difflib
import importlib
import sys
from typing import Any

from fvcore.common.registry import Registry

__all__ = ["Registry", "locate", "registered"]


def registered(registry: Registry, name: str, key: str) -> Any:
    """The entry of a registry that a config key names.

    Args:
        registry: of functions or classes.
        name: the value of the key.
        key: the config key, for the error.

    Raises:
        KeyError: there is no such entry; the message lists near matches.
    """
    if name in registry:
        return registry.get(name)
    known = [entry for entry, _ in registry]
    near = difflib.get_close_matches(name, known) or sorted(known)
    raise KeyError(
        f"{key} {name!r} is not registered; did you mean {', '.join(near)}? One of your own is registered by importing "
        "its module before the model is built"
    )


def locate(name: str) -> Any:
    """Find the object that a dotted name stands for.

    Args:
        name: modules, then attributes, e.g. ``"torch.nn.Conv2d"`` or ``"collections.OrderedDict.fromkeys"``.

    Raises:
        ImportError: nothing of that name; an error inside an imported module is passed on as it is.
    """
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise ImportError(f"'{name}' is not a dotted Python name such as 'torch.nn.Conv2d'")
    for end in range(len(parts), 0, -1):
        module_name = ".".join(parts[:end])
        try:
            obj = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            # Only the absence of this very name means "try a shorter one"; a broken import inside it must show.
            if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
                continue
            raise
        for depth, attribute in enumerate(parts[end:], start=end):
            try:
                obj = getattr(obj, attribute)
            except AttributeError:
                found = ".".join(parts[:depth])
                raise ImportError(f"cannot locate '{name}': '{found}' has no attribute '{attribute}'") from None
        return obj
    raise ImportError(f"cannot locate '{name}': there is no module '{parts[0]}' here")


def _convert_target_to_string(t: Any) -> str:
    """The shortest dotted name under which :func:`locate` finds ``t`` again.

    Classes usually live in a deeper module than the one users import them from
    (``torch.nn.modules.conv.Conv2d`` against ``torch.nn.Conv2d``).
    """
    module, qualname = t.__module__, t.__qualname__
    packages = module.split(".")
    for length in range(1, len(packages)):
        parent = sys.modules.get(".".join(packages[:length])) if "." not in qualname else None
        if parent is not None and vars(parent).get(qualname) is t:
            return f"{'.'.join(packages[:length])}.{qualname}"
    return f"{module}.{qualname}"
