"""What every test module finds as it was."""

from collections.abc import Iterator

import pytest

from detectron2.data.catalog import DatasetCatalog, MetadataCatalog


@pytest.fixture(autouse=True, scope="module")
def catalogs_as_before() -> Iterator[None]:
    """Forget the data sets that a module registered: another may use the same names for other files."""
    import detectron2.data.datasets.builtin  # noqa: F401  registers the built-in ones before the catalogs are copied

    before = [(catalog, dict(catalog.data)) for catalog in (DatasetCatalog, MetadataCatalog)]
    yield
    for catalog, data in before:
        catalog.data = data
