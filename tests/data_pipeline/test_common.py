"""Data sets made of other data sets."""

import pickle
import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, SequentialSampler

from detectron2.data.common import (
    AspectRatioGroupedDataset,
    DatasetFromList,
    MapDataset,
    ToIterableDataset,
    set_default_dataset_from_list_serialize_method,
)
from detectron2.data.samplers import TrainingSampler
from tests.facts import golden

RECORDS = [{"file_name": f"{i}.jpg", "values": [i] * i, "array": np.arange(i)} for i in range(5)]


class Counting(IterableDataset):
    def __init__(self, size=6):
        self.size = size

    def __iter__(self):
        return iter(range(self.size))


@pytest.mark.parametrize("serialize", [True, False, list])
def test_list_dataset_gives_what_the_list_has(serialize):
    dataset = DatasetFromList(RECORDS, serialize=serialize)
    assert len(dataset) == 5
    for position in (0, 4, -1, -5):
        assert dataset[position]["values"] == RECORDS[position]["values"]
    for position in (5, -6):
        with pytest.raises(IndexError):
            dataset[position]
    assert [record["file_name"] for record in pickle.loads(pickle.dumps(dataset))] == [r["file_name"] for r in RECORDS]


@pytest.mark.parametrize("serialize", [True, False])
def test_list_dataset_gives_copies(serialize):
    dataset = DatasetFromList(RECORDS, serialize=serialize)
    dataset[2]["values"].append("changed")
    assert dataset[2]["values"] == [2, 2]


def test_list_dataset_without_copy_shares():
    dataset = DatasetFromList(RECORDS, copy=False, serialize=False)
    assert dataset[3] is RECORDS[3]


def test_empty_list_dataset():
    assert len(DatasetFromList([])) == 0 and list(DatasetFromList([])) == []


def test_default_packing_is_replaced_within_a_block():
    class Reversed(list):
        def __init__(self, items):
            super().__init__(reversed(items))

    with set_default_dataset_from_list_serialize_method(Reversed):
        assert list(DatasetFromList([1, 2, 3])) == [3, 2, 1]
    assert list(DatasetFromList([1, 2, 3])) == [1, 2, 3]


def test_map_dataset_takes_closures_to_workers():
    offset = 10
    dataset = MapDataset(list(range(4)), lambda x: x + offset)
    assert list(pickle.loads(pickle.dumps(dataset))) == [10, 11, 12, 13] and len(dataset) == 4


def test_map_dataset_over_an_iterable():
    dataset = MapDataset(Counting(), lambda x: None if x % 2 else x * x)
    assert isinstance(dataset, IterableDataset) and list(dataset) == [0, 4, 16]


def test_map_dataset_replaces_what_is_of_no_use(caplog):
    dataset = MapDataset(list(range(20)), lambda x: x if x == 7 else None)
    random.seed(0)
    assert dataset[3] == 7
    assert "sample 3" in caplog.text
    random.seed(0)
    assert MapDataset(list(range(20)), lambda x: x or None)[0] > 0


def test_map_dataset_gives_up_on_a_mapper_that_takes_nothing():
    with pytest.raises(RuntimeError, match="None for sample 1"):
        MapDataset([1, 2], lambda x: None)[1]


def _missing(record):
    open(record["file_name"])


def _bad_value(record):
    raise ValueError("broken box")


def _bad_key(record):
    return record["annotation"]


def _no_message(record):
    raise ZeroDivisionError


def _errno(record):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("mapper", "error"),
    [
        (_missing, FileNotFoundError),
        (_bad_value, ValueError),
        (_bad_key, KeyError),
        (_errno, OSError),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_errors_name_the_file(mapper, error, workers):
    dataset = MapDataset([{"file_name": "pictures/broken.jpg"}], mapper)
    with pytest.raises(error, match="pictures/broken.jpg"):
        list(DataLoader(dataset, num_workers=workers))


def test_errors_without_message_or_file():
    with pytest.raises(ZeroDivisionError) as caught:
        MapDataset([{"file_name": "a.jpg"}], _no_message)[0]
    assert "a.jpg" in "".join(getattr(caught.value, "__notes__", ["a.jpg"]))
    with pytest.raises(ValueError, match="sample 1"):
        MapDataset([1, 2], _bad_value)[1]
    with pytest.raises(ValueError, match="sample 0 of the stream"):
        list(MapDataset(Counting(), _bad_value))


def test_groups_by_aspect_ratio():
    wide = [1, 0, 1, 0, 1, 0, 1, 0]
    samples = [{"width": 4 if w else 3, "height": 3 if w else 4, "id": i} for i, w in enumerate(wide)]
    batches = [[sample["id"] for sample in batch] for batch in AspectRatioGroupedDataset(samples, 2)]
    assert batches == golden("samplers")["aspect_groups_bs2"].tolist()


def test_groups_need_the_size():
    with pytest.raises(KeyError, match="x.jpg.*height.*ASPECT_RATIO_GROUPING"):
        list(AspectRatioGroupedDataset([{"width": 3, "file_name": "x.jpg"}], 1))


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("chunk", [1, 2])
def test_stream_is_dealt_out_in_order(workers, chunk):
    stream = ToIterableDataset(list("abcdefg"), SequentialSampler(range(7)), shard_chunk_size=chunk)
    loader = DataLoader(stream, batch_size=chunk, num_workers=workers)
    assert "".join(letter for batch in loader for letter in batch) == "abcdefg" and len(stream) == 7


def test_stream_skips_and_finds_positions():
    stream = ToIterableDataset(list("abcdefg"), TrainingSampler(7, seed=0))
    order = [stream.dataset[i] for i, _ in zip(stream.sampler, range(12), strict=False)]
    stream.start = 9
    assert [sample for sample, _ in zip(stream, range(3), strict=False)] == order[9:12]
    assert list(stream.load_positions([8, 2])) == [(2, order[2]), (8, order[8])]
    assert list(stream.load_positions([])) == []


def draw(_):
    return random.random(), float(np.random.rand()), float(torch.rand(())), torch.initial_seed()


def test_random_numbers_of_a_sample_depend_on_its_position_alone():
    def numbers(workers, start=0):
        stream = ToIterableDataset(MapDataset(list(range(8)), draw), SequentialSampler(range(8)), seed=4)
        stream.start = start
        return list(DataLoader(stream, batch_size=None, num_workers=workers, collate_fn=tuple))

    expected = numbers(0)
    assert len(set(expected)) == 8
    assert numbers(2) == expected and numbers(1, start=5) == expected[5:]


def test_loading_here_leaves_the_generators_alone():
    stream = ToIterableDataset(MapDataset([0, 1, 2], draw), SequentialSampler(range(3)), seed=4)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draw(0)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    list(stream)
    assert draw(0) == expected


def test_torch_random_samplers_agree_between_workers():
    stream = ToIterableDataset(list(range(20)), RandomSampler(range(20)), seed=4)
    order = list(stream)
    assert sorted(order) == list(range(20)) != order
    assert list(DataLoader(stream, batch_size=None, num_workers=2)) == order


def test_stream_refuses_what_is_no_map_style_data_set():
    with pytest.raises(TypeError, match="iterable already"):
        ToIterableDataset(Counting(), SequentialSampler(range(3)))
    with pytest.raises(TypeError, match="sampler"):
        ToIterableDataset([1], [0])
