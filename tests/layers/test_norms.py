import numpy as np
import pytest
import torch
from torch import nn

from detectron2.layers import Conv2d, CycleBatchNormList, FrozenBatchNorm2d, NaiveSyncBatchNorm, get_norm
from detectron2.layers.batch_norm import LayerNorm
from tests.facts import golden
from tests.leaving import leave_group


@pytest.fixture
def facts():
    return {name: torch.from_numpy(array) for name, array in golden("norms").items() if array.dtype.kind != "U"}


def close(actual, expected, tolerance=1e-5):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.fixture
def frozen(facts):
    norm = FrozenBatchNorm2d(6, float(facts["fbn_eps"]))
    norm.load_state_dict({name: facts[f"fbn_{name}"] for name in norm.state_dict()})
    return norm


def test_frozen_output_and_gradient(facts, frozen):
    x = facts["x"].clone().requires_grad_()
    out = frozen(x)
    close(out, facts["fbn_out"])
    out.backward(facts["fbn_gradout"])
    close(x.grad, facts["fbn_gradin"])
    with torch.no_grad():
        close(frozen(x), facts["fbn_out_nograd"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_frozen_keeps_the_type(facts, frozen, dtype, requires_grad):
    out = frozen(facts["x"].to(dtype).requires_grad_(requires_grad))
    assert out.dtype == dtype
    close(out.float(), facts["fbn_out"], 5e-2)


def test_new_frozen_norm_is_the_identity(facts):
    close(FrozenBatchNorm2d(6)(facts["x"]), facts["x"], 1e-6)
    assert not list(FrozenBatchNorm2d(6).parameters())


def test_frozen_reads_what_batch_norm_wrote(facts):
    trained = nn.Sequential(nn.BatchNorm2d(6))
    trained(facts["x"])
    norm = nn.Sequential(FrozenBatchNorm2d(6))
    norm.load_state_dict(trained.state_dict())
    close(norm(facts["x"]), trained.eval()(facts["x"]))


def test_frozen_reads_affine_channels(facts):
    norm = nn.Sequential(FrozenBatchNorm2d(6))
    norm.load_state_dict({"0.weight": facts["fbn_weight"], "0.bias": facts["fbn_bias"]})
    close(norm[0].running_var, torch.ones(6))
    with pytest.raises(RuntimeError, match="0.bias"):
        norm.load_state_dict({"0.weight": facts["fbn_weight"]})


def test_conversion_there_and_back(facts):
    model = nn.Sequential(nn.BatchNorm2d(6), nn.Sequential(nn.ReLU(), nn.SyncBatchNorm(6)))
    model[0].weight.data.uniform_()
    for _ in range(3):
        model(facts["x"])
    expected = model.eval()(facts["x"])
    frozen = FrozenBatchNorm2d.convert_frozen_batchnorm(model)
    assert frozen is model and type(model[0]) is type(model[1][1]) is FrozenBatchNorm2d
    assert not model[0].training
    close(model.train()(facts["x"]), expected)
    back = FrozenBatchNorm2d.convert_frozenbatchnorm2d_to_batchnorm2d(model)
    assert type(back[0]) is nn.BatchNorm2d and back[0].weight.requires_grad
    close(back.eval()(facts["x"]), expected)
    assert type(FrozenBatchNorm2d.convert_frozen_batchnorm(nn.BatchNorm2d(3, affine=False))) is FrozenBatchNorm2d


def test_layer_norm(facts):
    norm = LayerNorm(6)
    norm.load_state_dict({name: facts[f"fbn_{name}"] for name in ("weight", "bias")})
    close(norm(facts["x"]), facts["layernorm_out"])
    assert [name for name, _ in norm.named_parameters()] == ["weight", "bias"]


def test_names():
    made = []
    for entry in golden("norms")["get_norm_names"].tolist():
        name, expected = entry.split(":")
        norm = get_norm(name, 32)
        made.append(name)
        assert type(norm).__name__ == ("NoneType" if expected == "None" else expected)
    assert len(made) == 9 and get_norm(None, 32) is None
    assert get_norm("naiveSyncBN_N", 8)._stats_mode == "N" and get_norm("naiveSyncBN", 8)._stats_mode == ""
    norm = get_norm("GN", 64)
    assert [norm.num_groups, norm.eps] == golden("norms")["gn64_groups_eps"].tolist()
    assert get_norm(nn.InstanceNorm2d, 5).num_features == 5


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="'BatchNorm'.*FrozenBN.*GN"):
        get_norm("BatchNorm", 8)
    with pytest.raises(ValueError, match="stats_mode"):
        NaiveSyncBatchNorm(3, stats_mode="n")


def test_cycle_shares_weights_and_keeps_statistics_apart(facts):
    norm = CycleBatchNormList(2, num_features=6)
    assert list(norm.state_dict()) == golden("norms")["cyclebn_keys"].tolist()
    assert norm.extra_repr() == "affine=True" and len(norm) == 2
    norm.weight.data.uniform_()
    norm.bias.data.uniform_()
    x = facts["x"]
    reference = [nn.BatchNorm2d(6), nn.BatchNorm2d(6)]
    for level, batch_norm in enumerate(reference):
        batch_norm.load_state_dict({**batch_norm.state_dict(), "weight": norm.weight, "bias": norm.bias})
        close(norm(x * (level + 1)), batch_norm(x * (level + 1)))  # calls take turns
        close(norm[level].running_mean, batch_norm.running_mean)
    norm.eval()
    for level in (1, 0, 1):  # asked for by index, the order is free
        close(norm.at_level(x, level), reference[level].eval()(x))
    close(norm(x), reference[0](x))
    bare = CycleBatchNormList(3, num_features=6, affine=False)
    assert not list(bare.parameters()) and bare(x).shape == x.shape


def test_naive_sync_alone_is_batch_norm(facts):
    naive, plain = NaiveSyncBatchNorm(6), nn.BatchNorm2d(6)
    close(naive(facts["x"]), plain(facts["x"]))
    for name, value in plain.state_dict().items():
        close(naive.state_dict()[name], value)


CASES = [("", (2, 2)), ("N", (3, 1)), ("N", (4, 0))]


def _sync_case(rank, mode, sizes):
    x = torch.from_numpy(golden("norms")["x"])
    start = sum(sizes[:rank])
    part = torch.cat([x, 2 * x + 1])[start : start + sizes[rank]].requires_grad_()
    norm = NaiveSyncBatchNorm(6, stats_mode=mode)
    out = norm(part)
    (out * out * torch.arange(start, start + sizes[rank]).view(-1, 1, 1, 1)).sum().backward()
    weight_grad = norm.weight.grad.clone()
    torch.distributed.all_reduce(weight_grad)
    return [out.detach().numpy(), part.grad.numpy(), norm.running_mean.numpy(), weight_grad.numpy()]


def _run_rank(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    arrays = [_sync_case(rank, mode, sizes) for mode, sizes in CASES]
    np.savez(f"{folder}/{rank}.npz", *[array for case in arrays for array in case])
    if rank == 0:  # says so before it communicates, so the other process is not waiting
        with pytest.raises(ValueError, match="empty batch.*naiveSyncBN_N"):
            NaiveSyncBatchNorm(6)(torch.zeros(0, 6, 2, 2))
    leave_group()


def test_naive_sync_of_two_is_batch_norm_of_all(facts, tmp_path):
    torch.multiprocessing.spawn(_run_rank, (str(tmp_path),), nprocs=2)
    x = torch.cat([facts["x"], 2 * facts["x"] + 1]).requires_grad_()
    norm = nn.BatchNorm2d(6)
    out = norm(x)
    (out * out * torch.arange(4).view(-1, 1, 1, 1)).sum().backward()
    ranks = [list(np.load(tmp_path / f"{rank}.npz").values()) for rank in range(2)]
    for case in range(len(CASES)):
        outs, grads, means, weight_grads = zip(*[rank[4 * case : 4 * case + 4] for rank in ranks], strict=True)
        close(torch.from_numpy(np.concatenate(outs)), out.detach(), 1e-4)
        close(torch.from_numpy(np.concatenate(grads)), x.grad, 1e-4)
        for mean, weight_grad in zip(means, weight_grads, strict=True):
            close(torch.from_numpy(mean), norm.running_mean)
            close(torch.from_numpy(weight_grad), norm.weight.grad, 1e-4)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_frozen_norm_folded_into_its_convolution_changes_nothing(bias, groups):
    torch.manual_seed(0)
    norm = FrozenBatchNorm2d(6)
    for buffer in norm.buffers():
        buffer.uniform_(0.5, 2)
    conv = Conv2d(4, 6, 3, padding=1, bias=bias, groups=groups, norm=norm, activation=torch.tanh)
    x = torch.randn(2, 4, 7, 9, requires_grad=True)
    apart = torch.tanh(norm(nn.Conv2d.forward(conv, x)))
    together = conv(x)
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-6)
    inputs = [x, *conv.parameters()]
    for mine, expected in zip(
        torch.autograd.grad(together.sum(), inputs), torch.autograd.grad(apart.sum(), inputs), strict=True
    ):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-5)
