"""Sending functions and objects to other processes that plain pickle refuses."""

from typing import Any

__all__ = ["PicklableWrapper"]


def _restore(serialized: bytes) -> "PicklableWrapper":
    import cloudpickle

    return PicklableWrapper(cloudpickle.loads(serialized))


class PicklableWrapper:
    """Holds any object, lambdas and local functions included, and pickles it by ``cloudpickle``.

    Calls and attributes go through to the object held.
    """

    def __init__(self, obj: Any) -> None:
        while isinstance(obj, PicklableWrapper):
            obj = obj._obj
        self._obj = obj

    def __reduce__(self) -> tuple[Any, ...]:
        import cloudpickle

        return _restore, (cloudpickle.dumps(self._obj),)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._obj(*args, **kwargs)

    def __getattr__(self, attr: str) -> Any:
        # only reached for names the wrapper lacks; "_obj" itself is missing while a copy is being built
        if attr == "_obj":
            raise AttributeError(attr)
        return getattr(self._obj, attr)
