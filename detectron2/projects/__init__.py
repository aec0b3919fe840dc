"""Projects built on the framework, as ``detectron2.projects.<name>``.

In a checkout they stand in ``projects/<NAME>/<name>``; an installed package brings those that it was built with. A
project with models of its own registers them when it is imported, and adds its config keys by ``add_config(cfg)``.
"""

import importlib
import logging
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detectron2.config import CfgNode

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
if (_ROOT / "setup.py").is_file():  # a checkout, not an installation that has a folder "projects" beside it
    __path__ += [str(folder) for folder in sorted((_ROOT / "projects").glob("*")) if folder.is_dir()]


def add_project_configs(cfg: "CfgNode") -> None:
    """Import every project and add its config keys; one that cannot be imported is left out with a warning."""
    for module in pkgutil.iter_modules(__path__):
        if not module.ispkg:
            continue
        try:
            project = importlib.import_module(f"{__name__}.{module.name}")
        except ImportError as error:
            logger.warning("The project %s is left out: %s", module.name, error)
            continue
        if hasattr(project, "add_config"):
            project.add_config(cfg)


def read_config(config_file: str, overrides: Sequence[str] = ()) -> "CfgNode":
    """The default config with the keys of all projects, then a file, then overrides.

    Args:
        config_file: path; empty for none.
        overrides: keys and values in turns, as on a command line.

    Raises:
        KeyError: a key that does not exist, with the nearest ones.
    """
    from detectron2.config import get_cfg

    cfg = get_cfg()
    add_project_configs(cfg)
    if config_file:
        cfg.merge_from_file(config_file)
    cfg.merge_from_list(list(overrides))
    return cfg
