"""Optional packages, asked for when they are needed."""

import importlib.util


def missing(*names: str) -> list[str]:
    """Those packages that are not installed."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def need(*names: str) -> None:
    """Raise ``ImportError`` where packages are not installed, saying which and how to get them."""
    if absent := missing(*names):
        raise ImportError(f"this needs {', '.join(absent)}: pip install {' '.join(absent)}", name=absent[0])
