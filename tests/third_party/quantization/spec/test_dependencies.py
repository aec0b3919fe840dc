"""Settings know neither modules nor tensors, nor what was before them."""

import ast
from pathlib import Path

import pytest

import third_party.quantization.legacy
import third_party.quantization.spec

ROOMS = {
    "spec": (Path(third_party.quantization.spec.__file__).parent, {"spec"}),
    "legacy": (Path(third_party.quantization.legacy.__file__).parent, {"spec", "legacy"}),
}
STANDARD = {
    "ast",
    "collections",
    "contextlib",
    "dataclasses",
    "difflib",
    "enum",
    "fnmatch",
    "math",
    "pathlib",
    "re",
    "typing",
}
FILES = [(room, path) for room, (folder, _) in ROOMS.items() for path in sorted(folder.glob("*.py"))]


def imported(path, room):
    """Rooms of the engine and packages from outside that a file imports."""
    rooms, packages = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            packages.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            rooms.add(room if node.level == 1 else (node.module or "").split(".")[0])
    return rooms, packages


@pytest.mark.parametrize("room, path", FILES, ids=lambda value: getattr(value, "name", value))
def test_imports(room, path):
    rooms, packages = imported(path, room)
    assert rooms <= ROOMS[room][1]
    assert packages <= STANDARD
