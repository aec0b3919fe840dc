"""Classes and functions that can be called with explicit arguments or with a config."""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

from yacs.config import CfgNode as _CfgNode


def configurable(init_func: Callable | None = None, *, from_config: Callable | None = None) -> Callable:
    """Let a class or function be called with explicit arguments or with a config.

    On a class, decorate ``__init__`` and write a classmethod ``from_config(cls, cfg, ...)`` that returns the
    arguments of ``__init__`` as a dict. On a function, hand over ``from_config``::

        @configurable(from_config=lambda cfg: {"depth": cfg.MODEL.RESNETS.DEPTH})
        def build(depth: int): ...

    A call whose first argument (or ``cfg=``) is a config goes through ``from_config``. Arguments that ``from_config``
    does not take are handed on and win over what it returns.

    Raises:
        TypeError: wrong use of the decorator, or a class without ``from_config``.
    """
    if init_func is not None:
        if not (inspect.isfunction(init_func) and from_config is None and init_func.__name__ == "__init__"):
            raise TypeError("@configurable without arguments decorates __init__ of a class; see its documentation")
        return _configurable_init(init_func)
    if not callable(from_config):
        raise TypeError("@configurable(from_config=...) needs a function from a config to a dict of arguments")
    return functools.partial(_configurable_function, from_config)


def _configurable_init(init_func: Callable) -> Callable:
    @functools.wraps(init_func)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        from_config = getattr(type(self), "from_config", None)
        if not inspect.ismethod(from_config):
            raise TypeError(
                f"{type(self).__name__} uses @configurable and must define a classmethod 'from_config(cls, cfg)'"
            )
        if _called_with_cfg(*args, **kwargs):
            init_func(self, **_get_args_from_config(from_config, *args, **kwargs))
        else:
            init_func(self, *args, **kwargs)

    return wrapped


def _configurable_function(from_config: Callable, func: Callable) -> Callable:
    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if _called_with_cfg(*args, **kwargs):
            return func(**_get_args_from_config(from_config, *args, **kwargs))
        return func(*args, **kwargs)

    wrapped.from_config = from_config  # type: ignore[attr-defined]
    return wrapped


def _get_args_from_config(from_config_func: Callable, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The arguments that ``from_config_func`` makes of a config, joined with those it does not take itself."""
    parameters = inspect.signature(from_config_func).parameters
    if next(iter(parameters), None) != "cfg":
        owner = getattr(from_config_func, "__self__", from_config_func)
        raise TypeError(f"from_config of {getattr(owner, '__name__', owner)} must take 'cfg' as its first argument")
    kinds = {parameter.kind for parameter in parameters.values()}
    if kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}:
        return from_config_func(*args, **kwargs)
    taken = {name: value for name, value in kwargs.items() if name in parameters}
    direct = {name: value for name, value in kwargs.items() if name not in parameters}
    return {**from_config_func(*args, **taken), **direct}


def _is_config(value: Any) -> bool:
    # omegaconf belongs to LazyConfig users only: if it was never imported, the value cannot be one of its configs.
    omegaconf = sys.modules.get("omegaconf")
    kinds = (_CfgNode,) if omegaconf is None else (_CfgNode, omegaconf.DictConfig)
    return isinstance(value, kinds)


def _called_with_cfg(*args: Any, **kwargs: Any) -> bool:
    """Whether the first argument, or the one named ``cfg``, is a config."""
    return (bool(args) and _is_config(args[0])) or _is_config(kwargs.get("cfg"))
