"""Projects built on the framework, as ``detectron2.projects.<name>``.

In a checkout they stand in ``projects/<NAME>/<name>``; an installed package brings those that it was built with.
"""

from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2] / "projects"
if _CHECKOUT.is_dir():
    __path__ += [str(folder) for folder in sorted(_CHECKOUT.iterdir()) if folder.is_dir()]
