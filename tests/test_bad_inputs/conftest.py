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


@pytest.fixture
def log(caplog):
    """What the package logs, also after a test has set up its logger, which then hands nothing on."""
    logger = logging.getLogger("detectron2")
    propagates, logger.propagate = logger.propagate, True
    with caplog.at_level("WARNING", logger="detectron2"):
        yield caplog
    logger.propagate = propagates
