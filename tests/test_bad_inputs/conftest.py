import logging

import pytest

from detectron2.data.catalog import DatasetCatalog, MetadataCatalog
from tests.test_bad_inputs.material import Dataset


@pytest.fixture
def dataset(tmp_path):
    data = Dataset(tmp_path)
    yield data
    for catalog in (DatasetCatalog, MetadataCatalog):
        if data.name in catalog.list():
            catalog.remove(data.name)


@pytest.fixture(autouse=True)
def no_log_files_of_earlier_tests():
    """Set-ups add files to the loggers, which would be written by every later test."""
    loggers = [logging.getLogger(name) for name in ("detectron2", "fvcore")]
    before = [(logger.handlers[:], logger.propagate, logger.level) for logger in loggers]
    yield
    for logger, (logger.handlers[:], logger.propagate, level) in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.fixture
def log(caplog):
    """What the package logs, also after a test has set up its logger, which then hands nothing on."""
    logger = logging.getLogger("detectron2")
    propagates, logger.propagate = logger.propagate, True
    with caplog.at_level("WARNING", logger="detectron2"):
        yield caplog
    logger.propagate = propagates
