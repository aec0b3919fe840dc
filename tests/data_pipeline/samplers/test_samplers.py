"""Orders against golden sequences, shares of processes, resuming."""

import ast
import itertools
from collections import Counter

import pytest
import torch
from torch.utils.data.sampler import SequentialSampler

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


def first(sampler, count):
    return list(itertools.islice(sampler, count))


@pytest.mark.parametrize(
    "name, sampler",
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
def test_golden_orders(name, sampler):
    expected = GOLDEN[name].tolist()
    assert first(sampler(), len(expected)) == expected


@pytest.mark.parametrize("size, world", [(10, 3), (2, 4)])
def test_inference_shares(size, world):
    shares = [list(InferenceSampler._get_local_indices(size, world, rank)) for rank in range(world)]
    assert shares == [ast.literal_eval(text) for text in GOLDEN[f"infer_shards_{size}_{world}"]]
    assert len(InferenceSampler(size)) == size


def test_processes_share_one_order(monkeypatch):
    whole = first(TrainingSampler(7, seed=1), 21)
    monkeypatch.setattr(comm, "get_world_size", lambda: 3)
    for rank in range(3):
        monkeypatch.setattr(comm, "get_rank", lambda rank=rank: rank)
        assert first(TrainingSampler(7, seed=1), 7) == whole[rank::3]


@pytest.mark.parametrize(
    "make",
    [
        lambda: TrainingSampler(9),
        lambda: RandomSubsetTrainingSampler(20, 0.5),
        lambda: RepeatFactorTrainingSampler(torch.linspace(0.5, 2, 6)),
    ],
)
def test_state_gives_the_same_order(make):
    original, other = make(), make()
    state = original.state_dict()
    assert all(type(value) is int for value in state.values())
    other.load_state_dict(state)
    assert first(other, 40) == first(original, 40)


def test_repeat_factors():
    classes = [[0], [0, 1], [0], [0, 2, 2], [0], [0], [0, 1], [], [0], [0]]
    dicts = [{"annotations": [{"category_id": c} for c in image]} for image in classes]
    factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(dicts, 0.3)
    assert factors.tolist() == pytest.approx(GOLDEN["repeat_factors_t0.3"].tolist())
    linear = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(dicts, 0.3, sqrt=False)
    assert linear.tolist() == pytest.approx(GOLDEN["repeat_sqrtFalse"].tolist())


def test_repeats_on_average():
    sampler = RepeatFactorTrainingSampler(torch.tensor([1.0, 2.5, 0.5]), seed=0)
    counts = Counter(first(sampler, 4000))
    assert counts[1] / counts[0] == pytest.approx(2.5, rel=0.05)
    assert counts[2] / counts[0] == pytest.approx(0.5, rel=0.1)


def test_grouped_batches():
    sampler = SequentialSampler(range(8))
    groups = [0, 1, 0, 1, 1, 0, 0, 1]
    batches = list(GroupedBatchSampler(sampler, groups, 2))
    assert batches == [[0, 2], [1, 3], [5, 6], [4, 7]]
    assert batches == [ast.literal_eval(text) for text in GOLDEN["grouped_batch"]]


@pytest.mark.parametrize(
    "make, error",
    [
        (lambda: TrainingSampler(0), "size 0"),
        (lambda: InferenceSampler(0), "size 0"),
        (lambda: RandomSubsetTrainingSampler(10, 0.01), "RANDOM_SUBSET_RATIO"),
        (lambda: RandomSubsetTrainingSampler(10, 1.5), "RANDOM_SUBSET_RATIO"),
        (lambda: RepeatFactorTrainingSampler(torch.tensor([1.0, float("nan")])), "finite"),
        (lambda: RepeatFactorTrainingSampler(torch.zeros(3)), "zero"),
        (lambda: GroupedBatchSampler(SequentialSampler(range(2)), [[0], [1]], 1), "group_ids"),
    ],
)
def test_errors(make, error):
    with pytest.raises(ValueError, match=error):
        make()
