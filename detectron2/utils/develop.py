"""Stand-ins for names whose optional dependency is not installed: importing works, using explains."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

__all__ = ["create_dummy_class", "create_dummy_func"]


def _explanation(name: str, dependency: str | Sequence[str], message: str) -> str:
    missing = dependency if isinstance(dependency, str) else ", ".join(dependency)
    text = f"{name} needs {missing}, which could not be imported"
    return f"{text}. {message}" if message else text


def create_dummy_class(klass: str, dependency: str | Sequence[str], message: str = "") -> type:
    """A class that can be imported and subclassed, and raises once it is made or its attributes are asked.

    Args:
        klass: name of the class that is missing.
        dependency: what it needs.
        message: the way out, put behind the error.

    Returns:
        The stand-in; using it raises ImportError.
    """
    text = _explanation(klass, dependency, message)

    class _Explaining(type):
        def __getattr__(cls, attr: str) -> NoReturn:
            if attr.startswith("__") and attr.endswith("__"):
                # Python itself probes such names when it prints, copies or documents the class
                raise AttributeError(attr)
            raise ImportError(text)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        raise ImportError(text)

    return _Explaining(klass, (), {"__init__": __init__, "__doc__": text})


def create_dummy_func(func: str, dependency: str | Sequence[str], message: str = "") -> Callable[..., NoReturn]:
    """A function that can be imported and raises ImportError when called.

    Args:
        func: name of the function that is missing.
        dependency: what it needs; several in a list.
        message: the way out, put behind the error.
    """
    text = _explanation(func, dependency, message)

    def missing(*args: Any, **kwargs: Any) -> NoReturn:
        raise ImportError(text)

    missing.__name__ = missing.__qualname__ = func
    missing.__doc__ = text
    return missing
