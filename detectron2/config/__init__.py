"""Configuration: the tree of keys, its defaults, YAML files, versions, and classes built from it."""

from .compat import downgrade_config, upgrade_config
from .config import CfgNode, configurable, get_cfg, global_cfg, set_global_cfg

__all__ = [
    "CfgNode",
    "get_cfg",
    "global_cfg",
    "set_global_cfg",
    "downgrade_config",
    "upgrade_config",
    "configurable",
]
