"""memory, serialize, develop, torch_version_utils and tracing."""

import copy
import pickle

import pytest
import torch
from torch import fx, nn

from detectron2.utils.develop import create_dummy_class, create_dummy_func
from detectron2.utils.memory import retry_if_cuda_oom
from detectron2.utils.serialize import PicklableWrapper
from detectron2.utils.torch_version_utils import min_torch_version
from detectron2.utils.tracing import assert_fx_safe, is_fx_tracing, is_fx_tracing_legacy


def test_retry_calls_until_memory_suffices():
    calls = []

    @retry_if_cuda_oom
    def needy(x, *, factor=1):
        """doc"""
        calls.append(x.device)
        if len(calls) < 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x * factor

    assert torch.equal(needy(torch.ones(2), factor=3), torch.full((2,), 3.0))
    assert len(calls) == 3 and needy.__doc__ == "doc"


def test_retry_leaves_other_errors_and_a_lasting_one():
    @retry_if_cuda_oom
    def fails(error):
        raise error

    with pytest.raises(RuntimeError, match="shapes"):
        fails(RuntimeError("shapes do not match"))
    with pytest.raises(torch.OutOfMemoryError):
        fails(torch.OutOfMemoryError("full"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_retry_moves_to_cpu():
    @retry_if_cuda_oom
    def refuses_gpu(x):
        if x.is_cuda:
            raise torch.OutOfMemoryError("full")
        return x

    assert refuses_gpu(torch.ones(1, device="cuda")).device.type == "cpu"


def test_picklable_wrapper():
    offset = 3
    wrapped = PicklableWrapper(PicklableWrapper(lambda x: x + offset))
    assert pickle.loads(pickle.dumps(wrapped))(1) == 4
    assert copy.deepcopy(wrapped)(1) == 4
    assert pickle.loads(pickle.dumps(PicklableWrapper([1, 2]))).index(2) == 1
    with pytest.raises(AttributeError):
        wrapped.no_such_thing  # noqa: B018


def test_dummy_class():
    missing = create_dummy_class("Fast", "fastlib", "pip install fastlib")
    assert missing.__name__ == "Fast" and issubclass(missing, object) and "Fast" in repr(missing)
    for use in (missing, lambda: missing.build(), type("Sub", (missing,), {})):
        with pytest.raises(ImportError, match="Fast needs fastlib.*pip install fastlib"):
            use()


def test_dummy_func():
    missing = create_dummy_func("fast", ["liba", "libb"])
    assert missing.__name__ == "fast"
    with pytest.raises(ImportError, match="fast needs liba, libb"):
        missing(1, x=2)


def test_min_torch_version(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.13.1a0+git123")
    assert min_torch_version("2.13") and min_torch_version("2.9") and min_torch_version("2.13.1")
    assert not min_torch_version("2.14") and not min_torch_version("3.0")
    with pytest.raises(ValueError, match="'new'"):
        min_torch_version("new")


class _Asserting(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = (is_fx_tracing(), is_fx_tracing_legacy())
        assert_fx_safe(x.shape[0] == 2, "two rows are needed")
        return x + 1


def test_fx():
    module = _Asserting()
    assert torch.equal(module(torch.zeros(2)), torch.ones(2)) and module.seen == (False, False)
    with pytest.raises(AssertionError, match="two rows"):
        module(torch.zeros(3))
    traced = fx.symbolic_trace(module)
    assert module.seen == (True, True)
    assert torch.equal(traced(torch.zeros(3)), torch.ones(3))
