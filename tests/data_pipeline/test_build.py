"""Loaders: the same batches whatever the workers, and on from any point."""

import json
import random
from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, RandomSampler

from detectron2.data import (
    DatasetFromList,
    MapDataset,
    build_batch_data_loader,
    build_detection_test_loader,
    build_detection_train_loader,
)
from detectron2.data.build import trivial_batch_collator, worker_init_reset_seed
from detectron2.data.samplers import InferenceSampler, RandomSubsetTrainingSampler, TrainingSampler
from detectron2.utils import comm

RECORDS = [{"file_name": f"{i}.jpg", "id": i, "width": 4 if i % 3 else 2, "height": 3} for i in range(11)]


class Mapper:
    """Adds random numbers; counts what it loads, here or in a worker."""

    def __init__(self):
        self.loaded = []

    def __call__(self, record):
        self.loaded.append(record["id"])
        numbers = (random.random(), float(np.random.rand()), float(torch.rand(())))
        return {**record, "numbers": numbers}


class Stream(IterableDataset):
    def __iter__(self):
        yield from RECORDS


def make(workers=0, grouping=False, seed=5, sampler=None, mapper=None, records=RECORDS, **options):
    return build_detection_train_loader(
        records,
        mapper=Mapper() if mapper is None else mapper,
        sampler=TrainingSampler(len(records), seed=seed) if sampler is None else sampler,
        total_batch_size=3,
        aspect_ratio_grouping=grouping,
        num_workers=workers,
        seed=seed,
        **options,
    )


def through_json(state):
    return json.loads(json.dumps(state))


@pytest.mark.parametrize("grouping", [False, True])
def test_batches_do_not_depend_on_workers(grouping):
    expected = list(islice(make(grouping=grouping), 12))
    assert all(len(batch) == 3 for batch in expected)
    if grouping:
        assert all(len({r["width"] for r in batch}) == 1 for batch in expected)
    for workers in (1, 2):
        assert list(islice(make(workers, grouping), 12)) == expected


@pytest.mark.parametrize("grouping", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_resume_gives_the_remaining_batches(grouping, workers):
    loader = make(workers, grouping)
    before, rest = iter(loader), list(islice(make(grouping=grouping), 16))
    for done in range(8):
        state = through_json(loader.state_dict())
        for resumed_workers in {0, workers}:
            # Another seed: the old one comes with the state.
            resumed = make(resumed_workers, grouping, seed=77)
            resumed.load_state_dict(state)
            assert resumed.state_dict() == state
            stream = iter(resumed)
            assert resumed.state_dict() == state
            assert list(islice(stream, 3)) == rest[done : done + 3]
        assert next(before) == rest[done]


@pytest.mark.parametrize("grouping", [False, True])
def test_resume_loads_no_skipped_image(grouping):
    loader = make(grouping=grouping)
    list(islice(loader, 40))
    state = loader.state_dict()
    mapper = Mapper()
    resumed = make(grouping=grouping, mapper=mapper)
    resumed.load_state_dict(state)
    next(iter(resumed))
    waiting = len(state.get("pending", ()))
    assert waiting <= len(mapper.loaded) <= waiting + 9 if grouping else len(mapper.loaded) == 3


@pytest.mark.parametrize("grouping", [False, True])
def test_resume_twice_and_in_the_same_loader(grouping):
    rest = list(islice(make(grouping=grouping), 12))
    loader = make(grouping=grouping)
    list(islice(loader, 4))
    second = make(grouping=grouping)
    second.load_state_dict(loader.state_dict())
    assert list(islice(second, 3)) == rest[4:7]
    third = make(grouping=grouping)
    third.load_state_dict(second.state_dict())
    assert list(islice(third, 3)) == rest[7:10]
    state = third.state_dict()
    assert list(islice(third, 2)) == rest[:2]  # iterated anew, it starts from the beginning, as any loader
    third.load_state_dict(state)
    assert list(islice(third, 2)) == rest[10:12]


def test_persistent_workers_take_over_the_state():
    rest = list(islice(make(), 8))
    loader = make(1, persistent_workers=True)
    stream = iter(loader)
    assert [next(stream), next(stream)] == rest[:2]
    state = loader.state_dict()
    loader.load_state_dict(state)
    resumed = iter(loader)
    assert [next(resumed), next(resumed)] == rest[2:4]
    anew = iter(loader)
    assert next(anew) == rest[0]


def test_resume_with_other_samplers():
    sampler = RandomSubsetTrainingSampler(len(RECORDS), 0.6)
    loader = make(sampler=sampler)
    rest = list(islice(loader, 6))
    list(islice(loader, 2))
    resumed = make(sampler=RandomSubsetTrainingSampler(len(RECORDS), 0.6), seed=8)
    resumed.load_state_dict(through_json(loader.state_dict()))
    assert list(islice(resumed, 4)) == rest[2:]
    finite = make(sampler=RandomSampler(RECORDS))
    rest = list(finite)
    assert len({r["id"] for batch in rest for r in batch}) == 9  # of 11, as the last batch is not full
    list(islice(finite, 1))
    resumed = make(sampler=RandomSampler(RECORDS))
    resumed.load_state_dict(finite.state_dict())
    assert list(resumed) == rest[1:]


def test_samples_that_wait_may_fill_smaller_batches():
    loader = make(grouping=True)
    done = list(islice(loader, 5))
    state = loader.state_dict()
    smaller = build_detection_train_loader(
        RECORDS, mapper=Mapper(), sampler=TrainingSampler(len(RECORDS), seed=1), total_batch_size=1
    )
    smaller.load_state_dict(state)
    stream = iter(smaller)
    ids = [batch[0]["id"] for batch in islice(stream, len(state["pending"]))]
    order = list(islice(TrainingSampler(len(RECORDS), seed=5), state["consumed"]))
    used = [r["id"] for batch in done for r in batch]
    assert sorted(ids + used) == sorted(order) and smaller.state_dict()["pending"] == []


@pytest.mark.parametrize("grouping", [False, True])
def test_another_data_set_begins_anew(grouping, caplog):
    loader = make(grouping=grouping)
    list(islice(loader, 4))
    other = make(grouping=grouping, records=RECORDS[:9])
    other.load_state_dict(loader.state_dict())
    assert "begin anew" in caplog.text
    assert next(iter(other)) == next(iter(make(grouping=grouping, records=RECORDS[:9])))


def test_kinds_of_loaders():
    loader = make()
    assert isinstance(loader, DataLoader) and loader.batch_size == 3
    iterable = build_detection_train_loader(Stream(), mapper=None, total_batch_size=2, aspect_ratio_grouping=False)
    assert [[r["id"] for r in batch] for batch in iterable] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    grouped = build_detection_train_loader(Stream(), mapper=Mapper(), total_batch_size=2, collate_fn=len)
    assert list(grouped) == [2] * 5
    assert not hasattr(iterable, "state_dict") and not hasattr(grouped, "state_dict")


@pytest.mark.parametrize("grouping", [False, True])
def test_collate(grouping):
    loader = make(grouping=grouping, collate_fn=lambda batch: sum(r["id"] for r in batch))
    expected = [sum(r["id"] for r in batch) for batch in islice(make(grouping=grouping), 5)]
    assert list(islice(loader, 5)) == expected


def test_batch_sizes(monkeypatch):
    dataset = DatasetFromList(RECORDS)
    sampler = InferenceSampler(11)
    loader = build_batch_data_loader(dataset, sampler, None, single_gpu_batch_size=4, drop_last=False)
    assert [len(batch) for batch in loader] == [4, 4, 3]
    monkeypatch.setattr("detectron2.data.batch_loader.get_world_size", lambda: 2)
    assert [len(batch) for batch in build_batch_data_loader(dataset, sampler, 8)] == [4, 4]
    for total, single in ((7, None), (0, None), (-2, None), (None, None)):
        with pytest.raises(ValueError, match="IMS_PER_BATCH.*2"):
            build_batch_data_loader(dataset, sampler, total, single_gpu_batch_size=single)
    with pytest.raises(ValueError, match="not both"):
        build_batch_data_loader(dataset, sampler, 8, single_gpu_batch_size=4)


def test_samplers_go_with_map_style_data_sets():
    with pytest.raises(ValueError, match="sampler"):
        build_batch_data_loader(Stream(), InferenceSampler(11), 2)
    with pytest.raises(ValueError, match="sampler"):
        build_batch_data_loader(RECORDS, None, 2)
    with pytest.raises(ValueError, match="sampler"):
        build_detection_test_loader(Stream(), mapper=None, sampler=InferenceSampler(11))


def test_processes_augment_differently(monkeypatch):
    first = next(iter(make()))
    monkeypatch.setattr(comm, "get_rank", lambda: 1)
    second = next(iter(make()))
    by_id = {r["id"]: r["numbers"] for r in first}
    assert all(by_id.get(r["id"]) != r["numbers"] for r in second)


def test_loading_leaves_the_models_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    stream = iter(make())
    next(stream)
    torch.manual_seed(3)
    next(stream)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_test_loader_goes_once_in_order(workers):
    loader = build_detection_test_loader(RECORDS, mapper=Mapper(), batch_size=4, num_workers=workers)
    assert [[r["id"] for r in batch] for batch in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert len(loader) == 3 and isinstance(loader, DataLoader)
    iterable = build_detection_test_loader(Stream(), mapper=None, collate_fn=lambda batch: batch[0]["id"])
    assert list(iterable) == list(range(11))


def test_worker_seeds_and_collator():
    batch = [1, 2]
    assert trivial_batch_collator(batch) is batch
    draws = set()
    for worker in (0, 1):
        torch.manual_seed(9)
        worker_init_reset_seed(worker)
        draws.add((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert len(draws) == 2 and all(len(set(values)) == 2 for values in zip(*draws, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_in_the_mapper_name_the_file(workers):
    def mapper(record):
        raise ValueError("inverted box")

    loader = build_batch_data_loader(
        MapDataset(DatasetFromList(RECORDS[4:5]), mapper), TrainingSampler(1), 1, num_workers=workers
    )
    with pytest.raises(ValueError, match="inverted box.*4.jpg"):
        next(iter(loader))
