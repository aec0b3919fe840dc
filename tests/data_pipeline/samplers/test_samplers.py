"""Samplers against golden index streams."""

import ast
from itertools import islice

import numpy as np
import pytest
import torch

from detectron2.data.samplers import (
    GroupedBatchSampler,
    InferenceSampler,
    RandomSubsetTrainingSampler,
    RepeatFactorTrainingSampler,
    TrainingSampler,
)
from detectron2.utils import comm
from tests.facts import golden

GOLDEN = golden("samplers")


def head(sampler, count):
    return list(islice(sampler, count))


@pytest.fixture
def as_process(monkeypatch):
    def pretend(rank, world_size):
        monkeypatch.setattr(comm, "get_rank", lambda: rank)
        monkeypatch.setattr(comm, "get_world_size", lambda: world_size)

    return pretend


@pytest.mark.parametrize(
    ("key", "make"),
    [
        ("training_10_seed3", lambda: TrainingSampler(10, seed=3)),
        ("training_10_noshuffle", lambda: TrainingSampler(10, shuffle=False)),
        ("subset_20_0.4_s1_ss2", lambda: RandomSubsetTrainingSampler(20, 0.4, seed_shuffle=1, seed_subset=2)),
        (
            "repeat_sampler_seed5",
            lambda: RepeatFactorTrainingSampler(torch.from_numpy(GOLDEN["repeat_factors_t0.3"]), seed=5),
        ),
    ],
)
def test_streams(key, make):
    expected = GOLDEN[key].tolist()
    sampler = make()
    assert head(sampler, len(expected)) == expected
    assert head(sampler, len(expected)) == expected  # a second pass starts anew


@pytest.mark.parametrize(
    "make", [lambda: TrainingSampler(7, seed=1), lambda: RepeatFactorTrainingSampler([1.5] * 7, seed=1)]
)
def test_processes_share_one_stream(make, as_process):
    whole = head(make(), 30)
    for rank in range(3):
        as_process(rank, 3)
        assert head(make(), 10) == whole[rank::3]


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: TrainingSampler(50, seed=seed),
        lambda seed: RandomSubsetTrainingSampler(50, 0.5, seed_shuffle=seed, seed_subset=seed),
        lambda seed: RepeatFactorTrainingSampler([1.3] * 50, seed=seed),
    ],
)
def test_state_carries_the_stream(make):
    sampler, other = make(None), make(12345)
    assert head(sampler, 40) != head(other, 40)
    other.load_state_dict(sampler.state_dict())
    assert head(sampler, 200) == head(other, 200)


def _dicts(classes):
    return [{"annotations": [{"category_id": c} for c in own]} for own in classes]


def test_repeat_factors_by_the_rarest_class():
    dicts = _dicts([[0], [0, 1, 1], [], [0, 2], [0], [0], [0, 1], [0], [0], [0]])
    of = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency
    expected = GOLDEN["repeat_factors_t0.3"].copy()
    np.testing.assert_allclose(of(dicts, 0.3).numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(of(dicts, 0.3, sqrt=False).numpy(), GOLDEN["repeat_sqrtFalse"], rtol=1e-6)


def test_repeats_come_as_often_as_asked():
    factors = torch.tensor([1.0, 2.5, 0.5, 3.0])
    drawn = head(RepeatFactorTrainingSampler(factors, seed=0), 7000)
    share = torch.bincount(torch.tensor(drawn), minlength=4) / 1000
    torch.testing.assert_close(share, factors, atol=0.05, rtol=0)


@pytest.mark.parametrize(("key", "size", "world"), [("infer_shards_10_3", 10, 3), ("infer_shards_2_4", 2, 4)])
def test_inference_parts(key, size, world, as_process):
    for rank, expected in enumerate(GOLDEN[key].tolist()):
        as_process(rank, world)
        sampler = InferenceSampler(size)
        assert list(sampler) == ast.literal_eval(expected) and len(sampler) == len(list(sampler))


def test_grouped_batches():
    sampler = torch.utils.data.SequentialSampler(range(8))
    batches = [ast.literal_eval(batch) for batch in GOLDEN["grouped_batch"].tolist()]
    assert list(GroupedBatchSampler(sampler, [0, 1, 0, 1, 1, 0, 0, 1], 2)) == batches
    assert list(GroupedBatchSampler(sampler, [0] * 8, 3)) == [[0, 1, 2], [3, 4, 5]]  # 6 and 7 fill none


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TrainingSampler(0), ValueError, "size 0"),
        (lambda: TrainingSampler(2.0), TypeError, "float"),
        (lambda: RandomSubsetTrainingSampler(10, 0.0), ValueError, "RANDOM_SUBSET_RATIO"),
        (lambda: RandomSubsetTrainingSampler(10, 1.5), ValueError, "RANDOM_SUBSET_RATIO"),
        (lambda: RepeatFactorTrainingSampler([1.0, float("nan")]), ValueError, "finite"),
        (lambda: RepeatFactorTrainingSampler([1.0, -1.0]), ValueError, "at least 0"),
        (lambda: RepeatFactorTrainingSampler(torch.zeros(3)), ValueError, "zero"),
        (lambda: GroupedBatchSampler(InferenceSampler(2), [[0], [1]], 1), ValueError, "group_ids"),
        (lambda: GroupedBatchSampler(InferenceSampler(2), [0.5, 1.0], 1), ValueError, "group_ids"),
        (lambda: InferenceSampler(0), ValueError, "size 0"),
        (lambda: RandomSubsetTrainingSampler(3, 0.1), ValueError, "none of 3"),
        (lambda: GroupedBatchSampler([0, 1], [0, 0], 2), TypeError, "list"),
        (lambda: GroupedBatchSampler(InferenceSampler(2), [0, 0], 0), ValueError, "batch_size"),
        (lambda: len(GroupedBatchSampler(InferenceSampler(2), [0, 0], 1)), TypeError, "order"),
        (lambda: InferenceSampler(-1), ValueError, "-1"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
