"""Every public name of the interface facts, and every name that real projects import, resolves here as stated."""

import importlib
import inspect
from typing import Any

import pytest

from tests.facts import fact
from tests.later import reason_for, unused_patterns
from tests.signatures import differences, parse, signature_text

MODULES = fact("api")["modules"]
IMPORTS = fact("client_imports")
OVERRIDES = fact("client_overrides")
MISSING = object()
# Where a default differs on purpose, and why.
DELIBERATE = {"detectron2.config.config.CfgNode.merge_from_file": "YAML with Python objects only by an explicit flag"}


def resolve(module: str, name: str) -> Any:
    """The object, MISSING, or the error of importing its module as text."""
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        return f"{module} does not import: {error}" if name == "(module)" else MISSING
    if name == "(module)":
        return found
    if hasattr(found, name):
        return getattr(found, name)
    try:
        return importlib.import_module(f"{module}.{name}")
    except ImportError:
        return MISSING


def api_names() -> dict[str, list[str]]:
    """Module -> its public names and re-exports, private ones where projects import them."""
    names = {}
    for module, info in MODULES.items():
        public = [name for name, entry in info["names"].items() if not entry.get("private")]
        private = [name for name in IMPORTS.get(module, ()) if name.startswith("_")]
        names[module] = list(dict.fromkeys([*public, *info["reexports"], *private]))
    return names


def due(module: str, names: list[str]) -> list[str]:
    return [name for name in names if not reason_for(f"{module}.{name}")]


API = {module: due(module, names) for module, names in api_names().items()}
CLIENTS = {module: due(module, list(names)) for module, names in IMPORTS.items()}


def callable_problems(name: str, entry: dict[str, Any], found: Any) -> list[str]:
    """Differences of a function's or method's signature; a wrapper may show the inner one."""
    actual = signature_text(found)
    if "sig" not in entry or entry["sig"] is None or actual is None:
        return []
    alternatives = [differences(entry[key], actual) for key in ("sig", "inner_sig") if entry.get(key)]
    return [f"{name}: {problem}" for problem in min(alternatives, key=len)]


def class_problems(name: str, entry: dict[str, Any], found: Any) -> list[str]:
    if not inspect.isclass(found):
        return [f"{name}: is no class"]
    problems = []
    for member, member_entry in entry.get("members", {}).items():
        own = inspect.getattr_static(found, member, MISSING)
        if reason_for(f"{name}.{member}"):
            continue
        if own is MISSING:
            annotated = member in getattr(found, "__annotations__", {}) or member in parse_names(found)
            problems += [] if annotated else [f"{name}.{member}: missing"]
        elif member_entry["kind"] in ("method", "classmethod", "staticmethod") and not isinstance(own, property):
            if member_entry["kind"] != "method" and type(own).__name__ != member_entry["kind"]:
                problems.append(f"{name}.{member}: is no {member_entry['kind']}")
            plain = own.__func__ if isinstance(own, (classmethod, staticmethod)) else own
            expected = dict(member_entry)
            if member_entry["kind"] == "classmethod" and not parse_first(member_entry["sig"], "cls"):
                plain = getattr(found, member)
            problems += callable_problems(f"{name}.{member}", expected, plain)
    return problems


def parse_first(signature: str | None, name: str) -> bool:
    parameters = parse(signature or "()")
    return bool(parameters) and parameters[0].name == name


def parse_names(found: Any) -> set[str]:
    """Names of the constructor's parameters: instance attributes of that name stand for a class attribute."""
    return {p.name for p in parse(signature_text(found) or "()")}


@pytest.mark.parametrize("module", [module for module, names in API.items() if names])
def test_public_names(module):
    problems = []
    for name in API[module]:
        found = resolve(module, name)
        entry = MODULES[module]["names"].get(name)
        if found is MISSING:
            problems.append(f"{name}: missing")
        elif entry is None or entry["kind"] in ("constant", "callable_instance"):
            continue
        elif entry["kind"] == "class":
            problems += class_problems(name, entry, found)
        else:
            problems += callable_problems(name, entry, found)
    problems = [p for p in problems if f"{module}.{p.split(':')[0]}" not in DELIBERATE]
    assert not problems, "\n".join([f"{module}:", *problems])


@pytest.mark.parametrize("module", [module for module, names in CLIENTS.items() if names])
def test_names_that_projects_import(module):
    missing = [name for name in CLIENTS[module] if resolve(module, name) is MISSING]
    assert not missing, f"{module} lacks {missing}"


@pytest.mark.parametrize("qualified", [name for name in OVERRIDES if not reason_for(name)])
def test_methods_that_projects_override(qualified):
    """What projects override and Detectron2 has is there to be overridden."""
    module, name = qualified.rsplit(".", 1)
    found = resolve(module, name)
    assert found is not MISSING, f"{qualified} is missing"
    entries = [info["names"][name] for m, info in MODULES.items() if name in info["names"] and m.startswith(module)]
    known = {m for e in entries for m in (*e.get("members", ()), *e.get("private_members", ()))}
    lacking = [m for m in OVERRIDES[qualified] if m in known and not hasattr(found, m)]
    assert not lacking, f"{qualified} lacks {lacking}"


def test_table_of_names_left_for_later_is_not_stale():
    names = [f"{module}.{name}" for module, found in api_names().items() for name in found]
    names += [f"{module}.{name}" for module, found in IMPORTS.items() for name in found]
    assert not unused_patterns([*names, *OVERRIDES])


def test_counts(capsys):
    lines = []
    for title, table, whole in (("api", API, api_names()), ("client imports", CLIENTS, IMPORTS)):
        total = sum(len(names) for names in whole.values())
        wanted = [(module, name) for module, names in table.items() for name in names]
        resolved = sum(resolve(module, name) is not MISSING for module, name in wanted)
        lines.append(
            f"{title}: {resolved} of {len(wanted)} names resolve, {total - len(wanted)} of {total} left for later"
        )
        assert resolved == len(wanted)
    with capsys.disabled():
        print("\n" + "\n".join(lines))
