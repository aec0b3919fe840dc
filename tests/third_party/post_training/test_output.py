"""Results that appear whole or not at all."""

import os

import pytest

from third_party.post_training.output import check_file, check_writable, whole_folder


def test_a_new_folder_appears_at_the_end(tmp_path):
    with whole_folder(str(tmp_path / "made" / "results")) as folder:
        (folder / "inside").mkdir()
        (folder / "inside" / "file").write_text("1")
        assert not (tmp_path / "made" / "results").exists()
    assert (tmp_path / "made" / "results" / "inside" / "file").read_text() == "1"
    assert os.listdir(tmp_path / "made") == ["results"]


def test_a_failure_leaves_everything_as_it_was(tmp_path):
    target = tmp_path / "results"
    with pytest.raises(KeyError), whole_folder(str(target)) as folder:
        (folder / "file").write_text("half")
        raise KeyError
    assert os.listdir(tmp_path) == []
    target.mkdir()
    (target / "file").write_text("old")
    with pytest.raises(KeyError), whole_folder(str(target)) as folder:
        (folder / "file").write_text("half")
        raise KeyError
    assert (target / "file").read_text() == "old" and os.listdir(tmp_path) == ["results"]


def test_files_of_a_folder_that_is_there_are_replaced(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "other").write_text("other")
    with whole_folder(str(tmp_path)) as folder:
        (folder / "file").write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "new", "other": "other"}


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        check_writable(str(tmp_path / "file"))
    with pytest.raises(OSError, match="cannot be written"):
        check_writable(str(tmp_path / "file" / "inside"))
    with pytest.raises(OSError, match="cannot be written"):
        check_writable("/proc/results")


def test_files_that_cannot_be_written(tmp_path):
    check_file(str(tmp_path / "new" / "deep" / "file.json"), "--json")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    check_file(str(tmp_path / "file"), "--json")
    with pytest.raises(IsADirectoryError, match="--json .* is a folder"):
        check_file(str(tmp_path), "--json")
    for path in (tmp_path / "file" / "inside.json", "/proc/new/file.json"):
        with pytest.raises(OSError, match="--json .* cannot be written"):
            check_file(str(path), "--json")
