"""YAML files for configs: plain data only, with inheritance through ``_BASE_``."""

import logging
import os
import re
from collections.abc import Callable
from typing import IO, Any

import yaml

BASE_KEY = "_BASE_"
_PYTHON_TAG = "tag:yaml.org,2002:python/"
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")

OpenFile = Callable[[str], IO[str]]


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader that also refuses a key written twice, of which the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first_lines: dict[str, int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            line = key.start_mark.line + 1
            if isinstance(key.value, str) and key.value != "<<" and first_lines.setdefault(key.value, line) != line:
                problem = f"key '{key.value}' is already given in line {first_lines[key.value]}"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return super().construct_mapping(node, deep)


class _PythonTagError(yaml.constructor.ConstructorError):
    """A node asks for a Python object."""


def _refuse_python_tag(loader: yaml.Loader, suffix: str, node: yaml.Node) -> None:
    raise _PythonTagError(None, None, f"!!python/{suffix}", node.start_mark)


_PlainLoader.add_multi_constructor(_PYTHON_TAG, _refuse_python_tag)


def parse_yaml(text: str, filename: str, allow_unsafe: bool = False) -> dict[str, Any]:
    """Parse one YAML document that holds a mapping.

    Args:
        text: the document.
        filename: named in errors.
        allow_unsafe: run Python tags, which may execute any code, after a warning.

    Raises:
        ValueError: syntax errors, keys given twice, Python tags, or something other than a mapping.
            The message names file and line.
    """
    try:
        loaded = yaml.load(text, Loader=_PlainLoader)
    except _PythonTagError as error:
        where = f"{filename}:{error.problem_mark.line + 1}"
        if not allow_unsafe:
            raise ValueError(
                f"{where}: the tag {error.problem} asks for a Python object, and loading it could run any code. "
                "Write the value out as plain YAML; if you have read the file and trust it, "
                "call merge_from_file(..., allow_unsafe=True)"
            ) from None
        logging.getLogger(__name__).warning(
            "%s holds the Python tag %s: it is loaded without protection because allow_unsafe=True",
            where,
            error.problem,
        )
        loaded = yaml.unsafe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{filename}:{mark.line + 1}" if mark else filename
        raise ValueError(f"{where}: not a valid config: {getattr(error, 'problem', None) or error}") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ValueError(f"{filename}: a config is a mapping of keys to values, but this is a {type(loaded).__name__}")
    return loaded


def resolve_base(base: str, filename: str) -> str:
    """Where a ``_BASE_`` entry of a file lies: absolute, in the home folder (``~``), a URL, or beside the file."""
    base = os.path.expanduser(base)
    if os.path.isabs(base) or _SCHEME.match(base):
        return base
    return os.path.join(os.path.dirname(filename), base)


def inherit(child: dict[str, Any], base: dict[str, Any], filename: str, path: str = "") -> dict[str, Any]:
    """``base`` with every value that ``child`` gives; mappings are joined key by key.

    Raises:
        ValueError: a mapping would replace a value or the other way round.
    """
    merged = dict(base)
    for key, value in child.items():
        full_key = f"{path}.{key}" if path else str(key)
        if key in base and isinstance(value, dict) != isinstance(base[key], dict):
            kinds = ["a value", "a section"]
            raise ValueError(
                f"{filename}: '{full_key}' is {kinds[isinstance(value, dict)]} here "
                f"but {kinds[isinstance(base[key], dict)]} in its {BASE_KEY}"
            )
        merged[key] = (
            inherit(value, base[key], filename, full_key) if key in base and isinstance(value, dict) else value
        )
    return merged


def load_with_bases(
    filename: str, open_file: OpenFile, allow_unsafe: bool = False, chain: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Load a config file and everything it inherits.

    Args:
        filename: path or URL.
        open_file: opens a path for reading text.
        allow_unsafe: see :func:`parse_yaml`.
        chain: the files that led here, outermost first.

    Returns:
        nested mapping without the ``_BASE_`` key. Of several bases, a later one wins over an earlier one.

    Raises:
        FileNotFoundError: a file is missing; the message names the file that asked for it.
        ValueError: see :func:`parse_yaml`, or files that inherit from each other.
    """
    if filename in chain:
        raise ValueError(f"{BASE_KEY} goes round in a circle: {' -> '.join((*chain, filename))}")
    try:
        with open_file(filename) as file:
            text = file.read()
    except FileNotFoundError as error:
        asked_by = f" ({BASE_KEY} of {chain[-1]})" if chain else ""
        raise FileNotFoundError(f"config file {filename} does not exist{asked_by}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{filename}: not a text file, so not a config ({error})") from error
    config = parse_yaml(text, filename, allow_unsafe)
    bases = config.pop(BASE_KEY, [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) and base for base in bases):
        raise ValueError(f"{filename}: {BASE_KEY} must be a path or a list of paths, but is {bases!r}")
    merged: dict[str, Any] = {}
    for base in bases:
        path = resolve_base(base, filename)
        merged = inherit(load_with_bases(path, open_file, allow_unsafe, (*chain, filename)), merged, path)
    return inherit(config, merged, filename)
