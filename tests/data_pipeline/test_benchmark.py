"""The benchmark of loaders measures what it says."""

import itertools
import logging
import time

import pytest

from detectron2.data.benchmark import DataLoaderBenchmark, iter_benchmark


def test_iterator_times():
    taken = []
    mean, seconds = iter_benchmark((taken.append(i) for i in itertools.count()), num_iter=7, warmup=2)
    assert len(seconds) == 7 and len(taken) == 9 and mean == pytest.approx(sum(seconds) / 7)


def test_iterator_times_end_early():
    slow = (time.sleep(0.01) for _ in itertools.count())
    assert len(iter_benchmark(slow, num_iter=10**6, warmup=0, max_time_seconds=0.05)[1]) < 10
    with pytest.raises(ValueError, match="num_iter"):
        iter_benchmark(iter([]), num_iter=0, warmup=0)


def test_all_stages(caplog):
    calls = []
    benchmark = DataLoaderBenchmark(
        [{"file_name": "a"}, {"file_name": "b"}],
        mapper=lambda record: calls.append(record) or record,
        total_batch_size=2,
        num_workers=1,
    )
    with caplog.at_level(logging.INFO):
        benchmark.benchmark_dataset(3, warmup=1)
        assert calls == []
        benchmark.benchmark_mapper(3, warmup=1)
        assert len(calls) == 10  # the first batch, one to warm up, three to time
        benchmark.benchmark_workers(3, warmup=1)
        benchmark.benchmark_IPC(3, warmup=1)
        benchmark.benchmark_distributed(3, warmup=1)
    for stage in ("data set alone", "data set and mapper", "loader with 1 workers", "sending", "loader in 1 processes"):
        assert stage in caplog.text
