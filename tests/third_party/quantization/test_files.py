"""Files that appear whole or not at all, and programs as files."""

import stat

import pytest
import torch

from third_party.quantization.export import load_program, save_program, simulate
from third_party.quantization.export.nodes import tensor_names
from third_party.quantization.export.packages import missing, need
from third_party.quantization.files import write_whole

from .export.models import everything_traced, images


def test_a_file_is_written_whole(tmp_path):
    path = write_whole(tmp_path / "deep" / "a.txt", lambda place: place.write_text("whole"))
    assert path.read_text() == "whole" and [item.name for item in path.parent.iterdir()] == ["a.txt"]
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IRUSR


def test_nothing_is_left_of_a_failure(tmp_path):
    (tmp_path / "a.txt").write_text("before")

    def fail(place):
        place.write_text("half")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_whole(tmp_path / "a.txt", fail)
    assert (tmp_path / "a.txt").read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="a.onnx cannot be written"):
        write_whole(tmp_path / "file" / "a.onnx", lambda place: None)


def test_programs_go_through_files(tmp_path):
    program = everything_traced()
    again = load_program(save_program(program, tmp_path / "a.pt2"))
    assert list(tensor_names(again).values()) == list(tensor_names(program).values())
    x = images(1, 12, 16)
    for value, given in zip(simulate(program, (x,))[0], simulate(again, (x,))[0], strict=True):
        assert torch.equal(value, given)


def test_mistakes_with_programs(tmp_path):
    with pytest.raises(ValueError, match="must end in .pt2"):
        save_program(everything_traced(), tmp_path / "a.pt")
    with pytest.raises(FileNotFoundError, match="no program"):
        load_program(tmp_path / "a.pt2")
    with pytest.raises(ValueError, match="2 inputs for a program of 1"):
        simulate(everything_traced(), (images(), images()))


def test_missing_packages_are_named():
    assert missing("torch", "no_such_package") == ["no_such_package"]
    with pytest.raises(ImportError, match="pip install no_such_package"):
        need("torch", "no_such_package")
