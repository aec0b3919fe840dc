import pytest
from iopath.common.file_io import HTTPURLHandler

from detectron2.utils.file_io import Detectron2Handler, PathManager


class CachedHTTP(HTTPURLHandler):
    """The HTTP handler with its cache filled from a folder, so that no test needs a network."""

    def __init__(self, files):
        super().__init__()
        self.cache_map.update(files)


@pytest.fixture
def cached(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_text("weights")
    PathManager.register_handler(CachedHTTP({Detectron2Handler.S3_DETECTRON2_PREFIX + "zoo/model.pkl": str(path)}))
    yield path
    PathManager.register_handler(HTTPURLHandler())


def test_detectron2_prefix_reaches_the_storage_url(cached):
    assert PathManager.get_local_path("detectron2://zoo/model.pkl") == str(cached)
    with PathManager.open("detectron2://zoo/model.pkl") as f:
        assert f.read() == "weights"


def test_local_paths(tmp_path):
    with PathManager.open(str(tmp_path / "a.txt"), "w") as f:
        f.write("x")
    assert PathManager.ls(str(tmp_path)) == ["a.txt"]
    assert PathManager.isfile(str(tmp_path / "a.txt"))
