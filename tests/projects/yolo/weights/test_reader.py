"""Reading PyTorch files: whole models without their classes, and refusing what models do not need."""

import builtins
import datetime
import functools
import os
import pathlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.projects.yolo.weights import read_state_dict
from detectron2.projects.yolo.weights.foreign import ForeignObject, collect_tensors, is_foreign
from torch import Tensor, nn

from detectron2.checkpoint.safe_load import UnsafeFileError
from tests.projects.yolo.weights.foreign_files import PACKAGE, foreign_class, save_foreign


def some_tensors(offset: float = 0.0) -> dict[str, Tensor]:
    return {
        "model.0.conv.weight": torch.arange(12.0).view(2, 6).t() + offset,
        "model.0.bn.running_mean": torch.tensor([1.5, -2.5]) + offset,
        "model.0.bn.num_batches_tracked": torch.tensor(7),
    }


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
        assert found[name].is_contiguous() and not found[name].requires_grad


class Calling:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., object], *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Any, ...]]:
        return self.call


def test_whole_model_without_its_classes(tmp_path: Path) -> None:
    others = {"epoch": 3, "folder": pathlib.PurePosixPath("a"), "date": datetime.date(2020, 1, 2), "best": 0.5}
    file = save_foreign(tmp_path / "whole.pt", {"model": some_tensors(), "ema": None}, **others)
    assert PACKAGE not in sys.modules
    assert_same(read_state_dict(file), some_tensors())


def test_averaged_weights_go_first(tmp_path: Path) -> None:
    file = save_foreign(tmp_path / "both.pt", {"model": some_tensors(1), "ema": some_tensors(2)})
    assert_same(read_state_dict(file), some_tensors(2))


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: {"model": t}, lambda t: {"state_dict": t, "epoch": 1}])
def test_state_dicts(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    file = tmp_path / "state.pth"
    torch.save(wrap({f"module.{name}": tensor for name, tensor in some_tensors().items()}), file)
    assert_same(read_state_dict(file), some_tensors())


def test_half_precision_becomes_single(tmp_path: Path) -> None:
    halves = {name: t.half() if t.is_floating_point() else t for name, t in some_tensors().items()}
    found = read_state_dict(save_foreign(tmp_path / "half.pt", {"model": halves}))
    assert_same(found, some_tensors())
    assert {tensor.dtype for tensor in found.values()} == {torch.float32, torch.int64}


def test_buffers_that_are_not_persistent_are_left_out(tmp_path: Path) -> None:
    with foreign_class() as cls:
        model = cls()
        model.register_buffer("grid", torch.zeros(2), persistent=False)
        model.register_buffer("kept", torch.ones(2))
        model.add_module("layer", nn.Linear(1, 1, bias=False))
        torch.save(model, tmp_path / "model.pt")
    assert set(read_state_dict(tmp_path / "model.pt")) == {"kept", "layer.weight"}


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch {}",), f"{os.name}.system"),
        (builtins.eval, ("open('{}', 'w')",), "builtins.eval"),
        (functools.partial, (print,), "functools.partial"),
        (torch.hub.load_state_dict_from_url, ("http://localhost",), "torch.hub.load_state_dict_from_url"),
        (builtins.getattr, ("", "join"), "builtins.getattr"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_calls_are_refused_by_name(
    tmp_path: Path, function: Callable[..., object], arguments: tuple[Any, ...], name: str, whole: bool
) -> None:
    trace = tmp_path / "ran"
    texts = [value.format(trace) if isinstance(value, str) else value for value in arguments]
    models = {"model": some_tensors()} if whole else {}
    file = save_foreign(tmp_path / "evil.pt", models, first=Calling(function, *texts))
    with pytest.raises(UnsafeFileError, match=f"evil.pt.*'{name.replace('.', '[.]')}'"):
        read_state_dict(file)
    assert not trace.exists()


def test_a_class_in_disguise_is_never_called(tmp_path: Path) -> None:
    calls: list[object] = []
    with foreign_class() as cls:
        module = sys.modules[PACKAGE]
        made = type("Settings", (), {"__module__": PACKAGE, "__init__": lambda self, *args: calls.append(args)})
        module.Settings = made  # type: ignore[attr-defined]
        torch.save({"model": cls(), "args": Calling(made, "x")}, tmp_path / "model.pt")
        assert read_state_dict(tmp_path / "model.pt") == {}
    assert calls == []


@pytest.mark.parametrize(
    ("module", "name", "allowed"),
    [
        ("ultralytics.nn.tasks", "DetectionModel", True),
        ("models.yolo", "Model", True),
        ("__main__", "Net", True),
        ("torch.nn.modules.conv", "Conv2d", True),
        ("pathlib", "PosixPath", True),
        ("torch", "load", False),
        ("torch.nn", "Module", False),
        ("torchvision.io", "read_file", False),
        ("numpy.testing", "run_module_suite", False),
        ("subprocess", "Popen", False),
        ("os.path", "join", False),
        ("builtins", "exec", False),
        ("__builtin__", "eval", False),
        ("posix", "system", False),
    ],
)
def test_which_globals_get_a_stand_in(module: str, name: str, allowed: bool) -> None:
    assert is_foreign(module, name) == allowed


def test_modules_in_a_circle_are_refused() -> None:
    module = ForeignObject()
    module.__setstate__({"_parameters": {}, "_buffers": {}, "_modules": {"again": module}})
    with pytest.raises(ValueError, match="again .ForeignObject. contains itself"):
        collect_tensors(module)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_files(tmp_path: Path, whole: bool, share: float) -> None:
    file = tmp_path / "cut.pt"
    if whole:
        save_foreign(file, {"model": some_tensors()})
    else:
        torch.save(some_tensors(), file)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="cut.pt: not a whole weight file"):
        read_state_dict(file)


def test_old_format_of_whole_models_is_explained(tmp_path: Path) -> None:
    with foreign_class() as cls:
        torch.save(cls(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match="before 1.6"):
        read_state_dict(tmp_path / "old.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [({"optimizer": {}, "epoch": 2}, "no model under ema, model.*optimizer, epoch"), ([1, 2], "holds a list")],
)
def test_files_without_a_model(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "none.pt")
    with pytest.raises(ValueError, match=message):
        read_state_dict(tmp_path / "none.pt")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing.pt"):
        read_state_dict(tmp_path / "nothing.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_needs_the_flag(tmp_path: Path) -> None:
    layer = nn.Linear(2, 3)
    torch.jit.trace(layer, torch.zeros(1, 2)).save(str(tmp_path / "script.pt"))
    with pytest.raises(UnsafeFileError, match="--allow-torchscript"):
        read_state_dict(tmp_path / "script.pt")
    assert_same(read_state_dict(tmp_path / "script.pt", allow_torchscript=True), dict(layer.state_dict()))
