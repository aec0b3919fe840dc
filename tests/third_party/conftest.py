"""Generated pictures for all tests of quantized detectors."""

import pytest

from datasets.shapes import write_splits


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantized_shapes")
    write_splits(folder, train=24, val=4, size=(96, 72))
    return folder
