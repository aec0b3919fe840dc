"""The storage of metrics and the writers that read it."""

import json
import logging
import threading

import pytest
import torch

from detectron2.utils.events import (
    CommonMetricPrinter,
    EventStorage,
    EventWriter,
    JSONWriter,
    TensorboardXWriter,
    get_event_storage,
    has_event_storage,
)


def _lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _write_iterations(path, iterations, **values) -> None:
    with EventStorage(iterations[0]) as storage:
        writer = JSONWriter(str(path))
        for iteration in iterations:
            storage.iter = iteration
            storage.put_scalars(loss=float(iteration), **values)
            writer.write()
        writer.close()


def test_current_storage():
    assert not has_event_storage()
    with pytest.raises(RuntimeError, match="EventStorage"):
        get_event_storage()
    with EventStorage() as outer:
        with EventStorage(7) as inner:
            assert get_event_storage() is inner and inner.iter == inner.iteration == 7
        assert get_event_storage() is outer
    assert not has_event_storage()


def test_scalars_and_smoothing():
    storage = EventStorage()
    for value in (1.0, 2.0, 9.0):
        storage.put_scalar("loss", torch.tensor(value))
        storage.put_scalars(lr=value, smoothing_hint=False)
        storage.step()
    assert storage.iter == 3
    assert storage.latest() == {"loss": (9.0, 2), "lr": (9.0, 2)}
    assert storage.latest_with_smoothing_hint(20) == {"loss": (2.0, 2), "lr": (9.0, 2)}
    assert storage.latest_with_smoothing_hint(2)["loss"] == (5.5, 2)
    assert storage.smoothing_hints() == {"loss": True, "lr": False}
    assert storage.history("loss").global_avg() == 4.0
    assert set(storage.histories()) == {"loss", "lr"}
    with pytest.raises(KeyError, match="no metric 'nothing'"):
        storage.history("nothing")
    with pytest.raises(ValueError, match="'loss' was put with smoothing_hint=True"):
        storage.put_scalar("loss", 1.0, smoothing_hint=False)


@pytest.mark.parametrize(("window", "count"), [(1, 1), (10, 1), (11, 2), (20, 2), (21, 3), (100, 3)])
def test_count_samples_is_by_iteration(window, count):
    storage = EventStorage()
    for iteration in (0, 10, 20):
        storage.put_scalar("ap", 1.0, cur_iter=iteration)
    assert storage.count_samples("ap", window) == count


def test_name_scope_holds_for_the_thread_that_opened_it():
    storage = EventStorage()
    with storage.name_scope("rpn"):
        storage.put_scalar("loss", 1)
        other = threading.Thread(target=storage.put_scalar, args=("async", 2), kwargs={"cur_iter": 0})
        other.start()
        other.join()
    storage.put_scalar("loss", 3)
    assert storage.latest() == {"rpn/loss": (1.0, 0), "async": (2.0, 0), "loss": (3.0, 0)}


def test_threads_lose_nothing():
    storage = EventStorage()
    threads = [threading.Thread(target=lambda: [storage.put_scalar("x", 1.0) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        storage.latest_with_smoothing_hint()
    for thread in threads:
        thread.join()
    assert len(storage.history("x").values()) == 2000
    assert storage.history("x").global_avg() == 1.0


def test_histogram_counts_every_element():
    storage = EventStorage(3)
    storage.put_histogram("weights", torch.tensor([[0.0, 1.0], [1.0, 4.0]]), bins=4)
    (record,) = storage._histograms
    assert record["bucket_counts"] == [1, 2, 0, 1]
    assert record["bucket_limits"] == [1, 2, 3, 4]
    assert (record["min"], record["max"], record["num"], record["sum"], record["sum_squares"]) == (0, 4, 4, 6, 18)
    assert (record["tag"], record["global_step"]) == ("weights", 3)
    with pytest.raises(ValueError, match="'empty'"):
        storage.put_histogram("empty", torch.zeros(0, 3))


def test_json_writer_groups_by_iteration_and_skips_what_is_written(tmp_path):
    path = tmp_path / "metrics.json"
    with EventStorage() as storage:
        writer = JSONWriter(str(path))
        writer.write()  # nothing yet
        storage.put_scalar("loss", 1.0)
        storage.put_scalar("ap", 5.0, cur_iter=2)
        writer.write()
        storage.iter = 3
        storage.put_scalar("loss", 2.0, cur_iter=3)
        writer.write()
        writer.write()
        writer.close()
    # "loss" is the median of both values; "ap" was written already
    assert _lines(path) == [{"iteration": 0, "loss": 1.0}, {"iteration": 2, "ap": 5.0}, {"iteration": 3, "loss": 1.5}]


def test_json_writer_resumes_without_writing_an_iteration_twice(tmp_path):
    path = tmp_path / "metrics.json"
    _write_iterations(path, [0, 1, 2, 3])
    with path.open("a") as f:
        f.write('{"iteration": 4, "lo')  # killed while writing
    _write_iterations(path, [2, 3, 4], resumed=1.0)
    lines = _lines(path)
    assert [line["iteration"] for line in lines] == [0, 1, 2, 3, 4]
    assert ["resumed" in line for line in lines] == [False, False, True, True, True]
    # what was replaced is still to be found
    superseded = (tmp_path / "metrics.json.superseded").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in superseded[:-1]] == [2, 3]
    assert superseded[-1] == '{"iteration": 4, "lo'


def test_json_writer_appends_where_the_last_run_ended(tmp_path):
    path = tmp_path / "metrics.json"
    _write_iterations(path, [0, 1])
    _write_iterations(path, [2])
    assert [line["iteration"] for line in _lines(path)] == [0, 1, 2]
    assert not (tmp_path / "metrics.json.superseded").exists()


def test_json_writer_reports_an_unwritable_place(tmp_path):
    with pytest.raises(OSError, match="missing"):
        JSONWriter(str(tmp_path / "missing" / "metrics.json"))


def test_tensorboard_writer(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log_dir = tmp_path / "tb"
    with EventStorage(5) as storage:
        writer = TensorboardXWriter(str(log_dir))
        assert not log_dir.exists(), "the event file must wait for the first write"
        storage.put_scalar("loss", 0.25)
        storage.put_image("img", torch.zeros(3, 4, 6, dtype=torch.uint8))
        storage.put_histogram("weights", torch.rand(10), bins=5)
        writer.write()
        writer.write()  # nothing new
        assert storage._vis_data == [] and storage._histograms == []
        writer.close()
    events = EventAccumulator(str(log_dir)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(5, 0.25)]
    assert [(e.step, e.width, e.height) for e in events.Images("img")] == [(5, 6, 4)]
    assert [e.histogram_value.num for e in events.Histograms("weights")] == [10]


def test_tensorboard_writer_closes_unused(tmp_path):
    TensorboardXWriter(str(tmp_path / "tb")).close()
    assert not (tmp_path / "tb").exists()


def test_metric_printer(caplog):
    caplog.set_level(logging.INFO, logger="detectron2.utils.events")
    with EventStorage(9) as storage:
        printer = CommonMetricPrinter(max_iter=100)
        for name, value in {"time": 2.0, "data_time": 0.5, "total_loss": 3.0, "loss_cls": 1.0, "accuracy": 0.5}.items():
            storage.put_scalar(name, value)
        storage.put_scalar("lr", 0.02, smoothing_hint=False)
        printer.write()
        assert storage.latest()["eta_seconds"] == (180.0, 9)
        storage.iter = 100
        printer.write()
    (message,) = [r.getMessage() for r in caplog.records]
    for part in ("eta: 0:03:00", "iter: 9", "total_loss: 3", "loss_cls: 1", "time: 2.0", "data_time: 0.5", "lr: 0.02"):
        assert f"{part}" in message
    assert "accuracy" not in message


def test_metric_printer_without_history(caplog):
    caplog.set_level(logging.INFO, logger="detectron2.utils.events")
    with EventStorage() as storage:
        printer = CommonMetricPrinter(max_iter=10)
        printer.write()
        storage.step()
        printer.write()  # no "time" was put: the printer's own clock gives the time left
        CommonMetricPrinter().write()
    first, second, third = [r.getMessage() for r in caplog.records]
    assert "eta" not in first and "lr: N/A" in first
    assert "eta: " in second
    assert "eta" not in third


def test_event_writer_is_abstract():
    with pytest.raises(NotImplementedError, match="EventWriter"):
        EventWriter().write()
    EventWriter().close()
