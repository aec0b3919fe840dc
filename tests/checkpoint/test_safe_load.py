import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from detectron2.checkpoint.safe_load import UnsafeFileError, load_pickle, load_torch


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def dump(path, data, protocol=2):
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    return str(path)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_weights_round_trip(tmp_path, protocol):
    data = {
        "model": OrderedDict(a=np.arange(6.0, dtype=np.float32).reshape(2, 3), b=np.array(True), c=np.zeros((0, 4))),
        "numbers": [1, 2.5, 1 + 2j, None, "text", b"bytes", (1, 2), {3}, np.float64(0.5), np.int64(7)],
        "tensor": torch.arange(3),
    }
    loaded = load_pickle(dump(tmp_path / "a.pkl", data, protocol))
    np.testing.assert_array_equal(loaded["model"]["a"], data["model"]["a"])
    assert loaded["model"]["a"].dtype == np.float32 and loaded["model"]["c"].shape == (0, 4)
    assert loaded["numbers"] == data["numbers"]
    assert torch.equal(loaded["tensor"], torch.arange(3))


def test_python_2_pickle(tmp_path):
    # {'w': array([1., 2.], dtype=float32)} as Python 2 wrote it: the array's bytes are a str.
    text = (
        b"(dp0\nS'w'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\nRp7\n"
        b"(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'f4'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nb"
        b"I00\nS'\\x00\\x00\\x80?\\x00\\x00\\x00@'\np15\ntp16\nbs."
    )
    (tmp_path / "a.pkl").write_bytes(text)
    assert load_pickle(str(tmp_path / "a.pkl"))["w"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: {"model": {"w": e}}, lambda e: [np.array([e], dtype=object)]])
def test_a_malicious_pickle_is_named_and_does_not_run(tmp_path, wrap):
    path = dump(tmp_path / "evil.pkl", wrap(Evil(tmp_path / "pwned")))
    with pytest.raises(UnsafeFileError, match=r"evil\.pkl: blocked '(posix|nt)\.mkdir'.*allow_unsafe_pickle=True"):
        load_pickle(path)
    assert not (tmp_path / "pwned").exists()
    load_pickle(path, allow_unsafe=True)
    assert (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "code, blocked",
    [
        (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"c__builtin__\n__import__\n.", "__builtin__.__import__"),
        (b"cnumpy\nload\n.", "numpy.load"),
        (b"ctorch\nload\n.", "torch.load"),
        (b"cnumpy.testing\nbreak_cycles\n.", "numpy.testing.break_cycles"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0bndarray.dot\x93.", "numpy.ndarray.dot"),
    ],
)
def test_each_blocked_global_is_named(tmp_path, code, blocked):
    path = tmp_path / "a.pkl"
    path.write_bytes(code)
    with pytest.raises(UnsafeFileError, match=f"'{blocked}'"):
        load_pickle(str(path))


def test_tensor_bytes_inside_a_pickle_stay_restricted(tmp_path):
    torch.save(Evil(tmp_path / "pwned"), tmp_path / "inner.pth")
    inner = (tmp_path / "inner.pth").read_bytes()

    class Nested:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (inner,)

    with pytest.raises(ValueError, match="a.pkl"):
        load_pickle(dump(tmp_path / "a.pkl", Nested()))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_malicious_torch_file_is_named_and_does_not_run(tmp_path, legacy):
    path = str(tmp_path / "evil.pth")
    torch.save({"model": Evil(tmp_path / "pwned")}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        UnsafeFileError, match=r"evil\.pth: blocked '(posix|nt)\.mkdir'.*DETECTRON2_ALLOW_UNSAFE_PICKLE=1"
    ):
        load_torch(path)
    assert not (tmp_path / "pwned").exists()
    load_torch(path, allow_unsafe=True)
    assert (tmp_path / "pwned").exists()


def test_numpy_numbers_in_a_torch_file(tmp_path):
    path = str(tmp_path / "a.pth")
    data = {
        "best": np.float64(0.5),
        "iteration": np.int64(3),
        "scores": np.arange(3, dtype=np.float32),
        "flag": np.bool_(1),
    }
    torch.save(data, path)
    loaded = load_torch(path)
    assert (loaded["best"], loaded["iteration"], bool(loaded["flag"])) == (0.5, 3, True)
    assert loaded["scores"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("keep", [0, 1, 30, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["pkl", "pth", "legacy"])
def test_files_that_were_cut_off(tmp_path, kind, keep):
    path = tmp_path / f"cut.{'pkl' if kind == 'pkl' else 'pth'}"
    if kind == "pkl":
        dump(path, {"model": {"w": np.random.rand(100)}})
    else:
        torch.save({"model": {"w": torch.rand(100)}}, path, _use_new_zipfile_serialization=kind == "pth")
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    load = load_pickle if kind == "pkl" else load_torch
    with pytest.raises(ValueError, match=r"cut\.p(kl|th): not a whole weight file"):
        load(str(path))


@pytest.mark.parametrize("name", ["a.pkl", "a.pth"])
def test_other_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>404 Not Found</html>" * 20)
    with pytest.raises(ValueError, match=name):
        (load_pickle if name.endswith("pkl") else load_torch)(str(tmp_path / name))
