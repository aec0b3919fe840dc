"""Set-up of loggers, messages that repeat now and then, small tables."""

import logging
import uuid

import pytest

from detectron2.utils.logger import (
    create_small_table,
    log_every_n,
    log_every_n_seconds,
    log_first_n,
    setup_logger,
)


@pytest.fixture
def name():
    """A logger's name of its own, as loggers live as long as the process."""
    name = f"test_{uuid.uuid4().hex}"
    yield name
    logging.getLogger(name).handlers.clear()


def test_console_and_file(name, tmp_path, capsys):
    logger = setup_logger(str(tmp_path / "sub"), name=name, abbrev_name="short")
    again = setup_logger(str(tmp_path / "sub"), name=name, abbrev_name="short")
    assert again is logger and len(logger.handlers) == 2
    logging.getLogger(f"{name}.child").info("hello")
    logger.warning("careful")
    logger.error("broken")
    out = capsys.readouterr().out
    assert "short.child]: " in out and "hello" in out and "WARNING" in out and "ERROR" in out
    # written line by line: nothing may be lost in a buffer when the process is killed
    lines = (tmp_path / "sub" / "log.txt").read_text().splitlines()
    assert len(lines) == 3
    assert "short.child INFO: hello" in lines[0] and "short WARNING: careful" in lines[1]
    assert logger.propagate is False


def test_further_calls_write_no_line_twice(name, tmp_path, capsys):
    for folder in ("first", "second", "second"):
        logger = setup_logger(str(tmp_path / folder), name=name)
    logger.info("once")
    assert capsys.readouterr().out.count("once") == 1
    for folder in ("first", "second"):
        assert (tmp_path / folder / "log.txt").read_text().count("once") == 1


def test_other_handlers_see_the_full_name(name, capsys):
    logger = setup_logger(name=name, abbrev_name="short", enable_propagation=True)
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.name)
    logger.addHandler(handler)
    logger.info("hello")
    assert seen == [name] and logger.propagate


@pytest.mark.parametrize("output", ["log.txt", "own.log"])
def test_higher_ranks_write_files_only(name, tmp_path, capsys, output):
    setup_logger(str(tmp_path / output), distributed_rank=2, name=name).info("hello")
    assert capsys.readouterr().out == ""
    assert "hello" in (tmp_path / f"{output}.rank2").read_text()


def test_no_console(name, capsys):
    setup_logger(name=name, configure_stdout=False).info("hello")
    assert capsys.readouterr().out == ""


def test_default_abbreviation(name, capsys):
    logger = setup_logger(name=name, color=False)
    logger.info("plain")
    assert f"{name} INFO: plain" in capsys.readouterr().out


def test_log_first_n(caplog):
    caplog.set_level(logging.INFO)
    for i in range(3):
        log_first_n(logging.INFO, f"by caller {i}", n=2)
        log_first_n(logging.INFO, f"by message {i % 2}", key="message")
        log_first_n(logging.INFO, f"by both {i % 2}", key=("caller", "message"), name="elsewhere")
    messages = [r.getMessage() for r in caplog.records]
    assert [m for m in messages if "caller" in m] == ["by caller 0", "by caller 1"]
    assert [m for m in messages if "by message" in m] == ["by message 0", "by message 1"]
    assert [m for m in messages if "both" in m] == ["by both 0", "by both 1"]
    assert {r.name for r in caplog.records} == {__name__, "elsewhere"}
    with pytest.raises(ValueError, match="key"):
        log_first_n(logging.INFO, "x", key="line")


def test_log_every_n(caplog):
    caplog.set_level(logging.INFO)
    for i in range(7):
        log_every_n(logging.INFO, f"{i}", n=3)
    assert [r.getMessage() for r in caplog.records] == ["0", "3", "6"]
    caplog.clear()
    for i in range(3):
        log_every_n(logging.INFO, f"{i}")
    assert len(caplog.records) == 3


def test_log_every_n_seconds(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    clock = iter([100.0, 101.0, 104.9, 105.0, 106.0])
    monkeypatch.setattr("detectron2.utils.logger.time.monotonic", lambda: next(clock))
    for i in range(5):
        log_every_n_seconds(logging.INFO, f"{i}", n=5)
    assert [r.getMessage() for r in caplog.records] == ["0", "3"]


def test_create_small_table():
    table = create_small_table({"AP": 12.34567, "AP50": float("nan")})
    head, rule, row = table.splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["AP", "AP50"]
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["12.346", "nan"]
    assert set(rule) <= set("|:-")
