"""Weights of the Caffe2 era under short names: ``catalog://ImageNetPretrained/FAIR/R-50-GN``.

Identifiers and links are those of the model zoo of facebookresearch/Detectron (MODEL_ZOO.md).
"""

from typing import Any

from ..config.keys import near_matches
from ..utils.file_io import PathHandler, PathManager

__all__ = ["ModelCatalog", "ModelCatalogHandler"]


def _baseline(model_id: int, name: str, signature: str) -> tuple[str, str]:
    return f"{model_id}/{name}", f"{model_id}/12_2017_baselines/{name}.yaml.{signature}"


class ModelCatalog:
    """Names of Caffe2 weights and where they are stored."""

    S3_C2_DETECTRON_PREFIX = "https://dl.fbaipublicfiles.com/detectron"

    C2_IMAGENET_MODELS = {
        "MSRA/R-50": "ImageNetPretrained/MSRA/R-50.pkl",
        "MSRA/R-101": "ImageNetPretrained/MSRA/R-101.pkl",
        "FAIR/R-50-GN": "ImageNetPretrained/47261647/R-50-GN.pkl",
        "FAIR/R-101-GN": "ImageNetPretrained/47592356/R-101-GN.pkl",
        "FAIR/X-101-32x8d": "ImageNetPretrained/20171220/X-101-32x8d.pkl",
        "FAIR/X-101-64x4d": "ImageNetPretrained/FBResNeXt/X-101-64x4d.pkl",
        "FAIR/X-152-32x8d-IN5k": "ImageNetPretrained/25093814/X-152-32x8d-IN5k.pkl",
    }

    C2_DETECTRON_PATH_FORMAT = "{prefix}/{url}/output/train/{dataset}/{type}/model_final.pkl"
    C2_DATASET_COCO = "coco_2014_train%3Acoco_2014_valminusminival"
    C2_DATASET_COCO_KEYPOINTS = "keypoints_coco_2014_train%3Akeypoints_coco_2014_valminusminival"

    C2_DETECTRON_MODELS = dict(
        (
            _baseline(35857197, "e2e_faster_rcnn_R-50-C4_1x", "01_33_49.iAX0mXvW"),
            _baseline(35857345, "e2e_faster_rcnn_R-50-FPN_1x", "01_36_30.cUF7QR7I"),
            _baseline(35857890, "e2e_faster_rcnn_R-101-FPN_1x", "01_38_50.sNxI7sX7"),
            _baseline(36761737, "e2e_faster_rcnn_X-101-32x8d-FPN_1x", "06_31_39.5MIHi1fZ"),
            _baseline(35858791, "e2e_mask_rcnn_R-50-C4_1x", "01_45_57.ZgkA7hPB"),
            _baseline(35858933, "e2e_mask_rcnn_R-50-FPN_1x", "01_48_14.DzEQe4wC"),
            _baseline(35861795, "e2e_mask_rcnn_R-101-FPN_1x", "02_31_37.KqyEK4tT"),
            _baseline(36761843, "e2e_mask_rcnn_X-101-32x8d-FPN_1x", "06_35_59.RZotkLKI"),
            _baseline(37129812, "e2e_mask_rcnn_X-152-32x8d-FPN-IN5k_1.44x", "09_35_36.8pzTQKYK"),
            _baseline(37697547, "e2e_keypoint_rcnn_R-50-FPN_1x", "08_42_54.kdzV35ao"),
            _baseline(35998355, "rpn_R-50-C4_1x", "08_00_43.njH5oD9L"),
            _baseline(35998814, "rpn_R-50-FPN_1x", "08_06_03.Axg0r179"),
            (
                "48616381/e2e_mask_rcnn_R-50-FPN_2x_gn",
                "GN/48616381/04_2018_gn_baselines/e2e_mask_rcnn_R-50-FPN_2x_gn_0416.13_23_38.bTlTI97Q",
            ),
        )
    )

    @staticmethod
    def get(name: str) -> str:
        """The URL of some weights.

        Args:
            name: ``"ImageNetPretrained/<key of C2_IMAGENET_MODELS>"`` or
                ``"Caffe2Detectron/COCO/<key of C2_DETECTRON_MODELS>"``.

        Raises:
            KeyError: the catalog has no such name; similar ones are listed.
        """
        if name.startswith("Caffe2Detectron/COCO"):
            return ModelCatalog._get_c2_detectron_baseline(name)
        if name.startswith("ImageNetPretrained/"):
            return ModelCatalog._get_c2_imagenet_pretrained(name)
        raise KeyError(
            f"'{name}' is not in the model catalog: names start with ImageNetPretrained/ or Caffe2Detectron/COCO/"
        )

    @staticmethod
    def _get_c2_imagenet_pretrained(name: str) -> str:
        path = _look_up(ModelCatalog.C2_IMAGENET_MODELS, name, "ImageNetPretrained/")
        return f"{ModelCatalog.S3_C2_DETECTRON_PREFIX}/{path}"

    @staticmethod
    def _get_c2_detectron_baseline(name: str) -> str:
        url = _look_up(ModelCatalog.C2_DETECTRON_MODELS, name, "Caffe2Detectron/COCO/")
        return ModelCatalog.C2_DETECTRON_PATH_FORMAT.format(
            prefix=ModelCatalog.S3_C2_DETECTRON_PREFIX,
            url=url,
            dataset=ModelCatalog.C2_DATASET_COCO_KEYPOINTS if "keypoint" in name else ModelCatalog.C2_DATASET_COCO,
            # Only the C4 proposal network was trained outside the generalised R-CNN code.
            type="rpn" if "rpn_R-50-C4" in name else "generalized_rcnn",
        )


def _look_up(table: dict[str, str], name: str, prefix: str) -> str:
    key = name.removeprefix(prefix)
    if key not in table:
        similar = near_matches(key, table) or list(table)
        raise KeyError(f"'{name}' is not in the model catalog. Under {prefix} there is {', '.join(similar)}")
    return table[key]


class ModelCatalogHandler(PathHandler):
    """Opens ``catalog://<name>`` by looking the name up in :class:`ModelCatalog`."""

    PREFIX = "catalog://"

    def _get_supported_prefixes(self) -> list[str]:
        return [self.PREFIX]

    def _get_local_path(self, path: str, **kwargs: Any) -> str:
        return PathManager.get_local_path(ModelCatalog.get(path.removeprefix(self.PREFIX)), **kwargs)

    def _open(self, path: str, mode: str = "r", **kwargs: Any) -> Any:
        return PathManager.open(self._get_local_path(path), mode, **kwargs)


PathManager.register_handler(ModelCatalogHandler())
