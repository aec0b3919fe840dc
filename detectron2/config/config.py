"""The config tree, its defaults, and the config of the whole process."""

from collections.abc import Iterator
from typing import IO, Any

from fvcore.common.config import CfgNode as _CfgNode

from ..utils.file_io import PathManager
from .from_config import _called_with_cfg, _get_args_from_config, configurable
from .keys import coerce_value, get_key, has_key, set_key, unknown_key_message
from .yaml_files import BASE_KEY, load_with_bases

__all__ = [
    "CfgNode",
    "configurable",
    "get_cfg",
    "global_cfg",
    "set_global_cfg",
    "_called_with_cfg",
    "_get_args_from_config",
]


class CfgNode(_CfgNode):
    """A tree of settings with attribute access, made of plain values only.

    On top of ``fvcore.common.config.CfgNode``: files are data and never run code, files of an older version are
    converted, an unknown key is an error that lists similar keys, and nothing is merged when a key is wrong.
    """

    @classmethod
    def _open_cfg(cls, filename: str) -> IO[str]:
        return PathManager.open(filename, "r")

    @classmethod
    def load_yaml_with_base(cls, filename: str, allow_unsafe: bool = False) -> dict[str, Any]:
        """The nested mapping in a YAML file, with what it inherits through ``_BASE_``."""
        return load_with_bases(filename, cls._open_cfg, allow_unsafe)

    def merge_from_file(self, cfg_filename: str, allow_unsafe: bool = False) -> None:
        """Take over the values of a YAML file.

        Args:
            cfg_filename: path or URL; it may name other files under ``_BASE_``.
            allow_unsafe: run Python tags in the file, which may execute any code. Off by default.

        Raises:
            FileNotFoundError: the file or one of its bases is missing.
            ValueError: the file is not plain YAML, a value has the wrong type, or its version is too new.
            KeyError: it gives a key that does not exist.
        """
        plain = self.load_yaml_with_base(cfg_filename, allow_unsafe=allow_unsafe)
        try:
            loaded = type(self)(plain)
        except AssertionError as error:
            # yacs asserts that values are numbers, text or lists; a date, for one, is not.
            raise ValueError(f"{cfg_filename}: {error}") from None
        except RecursionError:
            raise ValueError(f"{cfg_filename}: a section contains itself by an alias (*)") from None
        loaded = self._in_my_version(loaded, cfg_filename)
        try:
            self.merge_from_other_cfg(loaded)
        except (KeyError, ValueError) as error:
            raise type(error)(f"{cfg_filename}: {error.args[0]}") from error

    def _in_my_version(self, loaded: "CfgNode", cfg_filename: str) -> "CfgNode":
        """The keys of a file, upgraded to the version of this config."""
        from .compat import guess_version, upgrade_config

        version = self.get("VERSION")
        if version is not None:
            loaded_version = loaded.get("VERSION")
            if loaded_version is None:
                loaded_version = guess_version(loaded, cfg_filename)
            if type(loaded_version) is not int or loaded_version < 0:
                raise ValueError(f"{cfg_filename}: VERSION is {loaded_version!r}, but must be 0, 1 or {version}")
            if loaded_version > version:
                raise ValueError(
                    f"{cfg_filename}: VERSION {loaded_version} is newer than this config's VERSION {version}"
                )
            if loaded_version < version:
                loaded.VERSION = loaded_version
                loaded = upgrade_config(loaded, to_version=version)
        return loaded

    def merge_from_other_cfg(self, cfg_other: _CfgNode) -> None:
        """Take over every value of another config. Nothing changes if one of its keys or types is wrong.

        A section that takes new keys leaves all checks to its reader: values may change their type, and sections that
        are added to it take new keys as well.
        """
        checked = type(self)(cfg_other)
        _check_keys(checked, self, self, "")
        # yacs stops at the first wrong type, with half of the values taken over: let that happen to a copy.
        for target in (self.clone(), self):
            _drop_other_types(checked, target)
            _CfgNode.merge_from_other_cfg(target, checked)
        _open_inner_sections(self)

    def merge_from_list(self, cfg_list: list[Any]) -> None:
        """Take over values from alternating keys and values, as on a command line.

        Args:
            cfg_list: e.g. ``["MODEL.MASK_ON", "True", "SOLVER.BASE_LR", 0.01]``; strings are read as Python literals.
                Nothing changes if one of the keys or types is wrong. A section that takes new keys takes them here too.
        """
        if len(cfg_list) % 2:
            raise ValueError(
                f"config overrides come in pairs of key and value, but {len(cfg_list)} were given: {cfg_list}"
            )
        merged: list[Any] = []
        added: list[CfgNode] = []
        trial = self.clone()
        for key, value in zip(map(str, cfg_list[0::2]), cfg_list[1::2], strict=True):
            if key == BASE_KEY:
                raise KeyError(f"{BASE_KEY} can only be given in a file")
            decoded = self._decode_cfg_value(value)
            if _in_open_section(trial, key):
                added.append(type(self)())
                # Text goes on as it came, because merging decodes it.
                set_key(added[-1], key, value if isinstance(decoded, str) else decoded)
                trial.merge_from_other_cfg(added[-1])
                continue
            if not has_key(self, key):
                if not (self.key_is_deprecated(key) or self.key_is_renamed(key)):
                    raise KeyError(unknown_key_message(key, _all_keys(self)))
                merged += [key, value]
                continue
            coerced = coerce_value(key, decoded, get_key(self, key))
            # A value that needs no conversion goes on as it came, because decoding twice could change a string.
            merged += [key, value if coerced is decoded else coerced]
        _CfgNode.merge_from_list(trial, merged)
        super().merge_from_list(merged)
        for one in added:
            self.merge_from_other_cfg(one)

    def dump(self, *args: Any, **kwargs: Any) -> str | None:
        """This config as YAML text that :meth:`merge_from_file` reads back; arguments go to ``yaml.safe_dump``.

        Returns:
            the text, or ``None`` if a stream is the first argument.
        """
        arguments = dict(zip(("stream", "Dumper"), args, strict=False))
        return _CfgNode.dump(_unshared(self), **arguments, **kwargs)


def _unshared(value: Any) -> Any:
    """A copy without lists and tuples in common: YAML writes those as anchors, and editing one would edit all."""
    if isinstance(value, _CfgNode):
        copied = _CfgNode()
        copied.update((key, _unshared(item)) for key, item in value.items())
        return copied
    if isinstance(value, (list, tuple)):
        return type(value)([_unshared(item) for item in value])
    return value


def _all_keys(cfg: _CfgNode, prefix: str = "") -> Iterator[str]:
    for key, value in cfg.items():
        if isinstance(value, _CfgNode) and value:
            yield from _all_keys(value, f"{prefix}{key}.")
        yield f"{prefix}{key}"


def _in_open_section(cfg: _CfgNode, full_key: str) -> bool:
    """Whether the innermost section of a key that exists takes new keys."""
    node: Any = cfg
    for part in full_key.split(".")[:-1]:
        if part not in node:
            break
        node = node[part]
        if not isinstance(node, _CfgNode):
            return False
    return bool(node.is_new_allowed())


def _open_inner_sections(cfg: _CfgNode) -> None:
    """Let sections inside those that take new keys take them, too."""
    if cfg.is_new_allowed():
        cfg.set_new_allowed(True)
        return
    for value in cfg.values():
        if isinstance(value, _CfgNode):
            _open_inner_sections(value)


def _drop_other_types(new: _CfgNode, current: _CfgNode) -> None:
    """Take keys out of sections of ``current`` that take new keys where ``new`` has values of other types."""
    for key, value in new.items():
        if isinstance(value, _CfgNode) and isinstance(current.get(key), _CfgNode):
            _drop_other_types(value, current[key])
        elif current.is_new_allowed() and key in current and type(value) is not type(current[key]):
            del current[key]


def _check_keys(new: _CfgNode, current: _CfgNode, root: _CfgNode, prefix: str) -> None:
    """Coerce values of ``new`` in place and refuse keys that ``current`` does not have."""
    for key, value in new.items():
        full_key = f"{prefix}{key}"
        if full_key == BASE_KEY:
            raise KeyError(f"{BASE_KEY} can only be given in a file")
        if key not in current:
            allowed = current.is_new_allowed() or root.key_is_deprecated(full_key) or root.key_is_renamed(full_key)
            if not allowed:
                raise KeyError(unknown_key_message(full_key, _all_keys(root)))
        elif isinstance(value, _CfgNode) and isinstance(current[key], _CfgNode):
            _check_keys(value, current[key], root, full_key + ".")
        else:
            new[key] = coerce_value(full_key, value, current[key])


global_cfg = CfgNode()
"""A config that the whole process may read; empty until :func:`set_global_cfg`."""


def get_cfg() -> CfgNode:
    """A fresh copy of the default config."""
    from .defaults import _C

    return _C.clone()


def set_global_cfg(cfg: CfgNode) -> None:
    """Make ``cfg`` readable as ``detectron2.config.global_cfg`` anywhere in the process."""
    global_cfg.clear()
    global_cfg.update(cfg)
