import collections

import pytest
import torch

from detectron2.utils.registry import Registry, _convert_target_to_string, locate


@pytest.mark.parametrize(
    "obj, name",
    [
        (torch.nn.Conv2d, "torch.nn.Conv2d"),
        (torch.nn.Conv2d.forward, "torch.nn.modules.conv.Conv2d.forward"),
        (collections.OrderedDict, "collections.OrderedDict"),
        (torch.nn.functional.relu, "torch.nn.functional.relu"),
    ],
)
def test_name_and_object_round_trip(obj, name):
    assert _convert_target_to_string(obj) == name
    assert locate(name) is obj


def test_locate_modules():
    assert locate("torch.nn.functional") is torch.nn.functional


@pytest.mark.parametrize("name", ["torch.nn.Conv5d", "no_such_module.x", "torch..nn", "1/0", ""])
def test_locate_says_what_is_missing(name):
    with pytest.raises(ImportError, match=f"'{name}'"):
        locate(name)


def test_locate_shows_a_broken_import(tmp_path, monkeypatch):
    (tmp_path / "d2_broken_part.py").write_text("import d2_not_installed\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="d2_not_installed"):
        locate("d2_broken_part.Thing")


def test_registry():
    registry = Registry("PART")

    @registry.register()
    class A: ...

    assert registry.get("A") is A and "A" in registry
    with pytest.raises(KeyError, match="'B'.*PART"):
        registry.get("B")
