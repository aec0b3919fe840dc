import pytest

from detectron2.checkpoint.catalog import ModelCatalog
from detectron2.utils.file_io import HTTPURLHandler, PathManager


def test_sizes_and_form():
    assert len(ModelCatalog.C2_IMAGENET_MODELS) == 7
    assert len(ModelCatalog.C2_DETECTRON_MODELS) == 13


@pytest.mark.parametrize(
    "name, url",
    [
        ("ImageNetPretrained/MSRA/R-50", "https://dl.fbaipublicfiles.com/detectron/ImageNetPretrained/MSRA/R-50.pkl"),
        (
            "ImageNetPretrained/FAIR/X-152-32x8d-IN5k",
            "https://dl.fbaipublicfiles.com/detectron/ImageNetPretrained/25093814/X-152-32x8d-IN5k.pkl",
        ),
        (
            "Caffe2Detectron/COCO/35998355/rpn_R-50-C4_1x",
            "https://dl.fbaipublicfiles.com/detectron/35998355/12_2017_baselines/rpn_R-50-C4_1x.yaml.08_00_43.njH5oD9L/"
            "output/train/coco_2014_train%3Acoco_2014_valminusminival/rpn/model_final.pkl",
        ),
        (
            "Caffe2Detectron/COCO/37697547/e2e_keypoint_rcnn_R-50-FPN_1x",
            "https://dl.fbaipublicfiles.com/detectron/37697547/12_2017_baselines/"
            "e2e_keypoint_rcnn_R-50-FPN_1x.yaml.08_42_54.kdzV35ao/output/train/"
            "keypoints_coco_2014_train%3Akeypoints_coco_2014_valminusminival/generalized_rcnn/model_final.pkl",
        ),
    ],
)
def test_urls(name, url):
    assert ModelCatalog.get(name) == url


@pytest.mark.parametrize(
    "name, hint",
    [
        ("ImageNetPretrained/FAIR/R-50-G", "FAIR/R-50-GN"),
        ("Caffe2Detectron/COCO/35857345/e2e_faster_rcnn_R-50-FPN_2x", "35857345/e2e_faster_rcnn_R-50-FPN_1x"),
        ("Elsewhere/R-50", "ImageNetPretrained/"),
    ],
)
def test_unknown_names_list_near_ones(name, hint):
    with pytest.raises(KeyError, match=f"{name}.*{hint}"):
        ModelCatalog.get(name)


def test_handler_goes_on_to_the_url(tmp_path):
    weights = tmp_path / "R-50.pkl"
    weights.write_bytes(b"w")
    http = HTTPURLHandler()
    http.cache_map[ModelCatalog.get("ImageNetPretrained/MSRA/R-50")] = str(weights)
    PathManager.register_handler(http)
    try:
        assert PathManager.get_local_path("catalog://ImageNetPretrained/MSRA/R-50") == str(weights)
        with PathManager.open("catalog://ImageNetPretrained/MSRA/R-50", "rb") as file:
            assert file.read() == b"w"
    finally:
        PathManager.register_handler(HTTPURLHandler())
