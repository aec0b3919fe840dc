import pickle
import shutil

import pytest
import torch
from iopath.common.file_io import HTTPURLHandler

from detectron2 import model_zoo
from detectron2.model_zoo import model_zoo as module
from detectron2.model_zoo.zoo_weights import _ModelZooUrls
from detectron2.utils.file_io import PathManager
from tests.facts import fact

NAMES = fact("model_zoo_names")
CONFIGS = [name for name in NAMES["names"] if (module._configs_folder() / f"{name}.yaml").is_file()]


@pytest.mark.parametrize("name", CONFIGS)
def test_weights_of_every_config_that_is_here(name):
    url = f"{NAMES['prefix']}{name}/{NAMES['name_to_suffix'][name]}"
    assert model_zoo.get_checkpoint_url(name + ".yaml") == url
    assert model_zoo.get_config(name + ".yaml", trained=True).MODEL.WEIGHTS == url


def test_no_weights_without_a_config():
    assert set(_ModelZooUrls.CONFIG_PATH_TO_URL_SUFFIX) == set(CONFIGS) and len(CONFIGS) == 35


def test_untrained_config_keeps_the_first_weights():
    cfg = model_zoo.get_config("COCO-Detection/retinanet_R_50_FPN_1x.yaml")
    assert cfg.MODEL.WEIGHTS == "detectron2://ImageNetPretrained/MSRA/R-50.pkl"
    assert cfg.MODEL.META_ARCHITECTURE == "RetinaNet"


def test_unknown_names_list_near_ones():
    with pytest.raises(
        FileNotFoundError, match=r"retinanet_R50_FPN_1x\.yaml.*Did you mean COCO-Detection/retinanet_R_50"
    ):
        model_zoo.get_config_file("COCO-Detection/retinanet_R50_FPN_1x.yaml")
    with pytest.raises(FileNotFoundError, match=r"zzz.*holds \d+ configs"):
        model_zoo.get_config_file("zzz")
    with pytest.raises(
        KeyError, match="no weights for 'COCO-Detection/retinanet_R_18_FPN_1x.yaml'.*retinanet_R_50_FPN_1x.yaml"
    ):
        model_zoo.get_checkpoint_url("COCO-Detection/retinanet_R_18_FPN_1x.yaml")


def test_packaged_configs_come_first(tmp_path, monkeypatch):
    package = tmp_path / "detectron2" / "model_zoo"
    shutil.copytree(module._configs_folder(), tmp_path / "configs")
    package.mkdir(parents=True)
    monkeypatch.setattr(module, "_PACKAGE", package)
    name = "COCO-Detection/retinanet_R_50_FPN_1x.yaml"
    assert model_zoo.get_config_file(name) == str(tmp_path / "configs" / name)
    shutil.move(tmp_path / "configs", package / "configs")
    assert model_zoo.get_config_file(name) == str(package / "configs" / name)
    assert model_zoo.get_config(name).SOLVER.BASE_LR == 0.01


def test_get_builds_and_loads_trained_weights(tmp_path):
    name = "COCO-Detection/rpn_R_50_C4_1x.yaml"
    cfg = model_zoo.get_config(name)
    cfg.MODEL.DEVICE = "cpu"
    torch.manual_seed(0)
    source = module.build_model(cfg)
    path = tmp_path / "model.pkl"
    weights = {key: value.numpy() for key, value in source.state_dict().items()}
    path.write_bytes(pickle.dumps({"model": weights, "__author__": "test"}))
    http = HTTPURLHandler()
    http.cache_map[model_zoo.get_checkpoint_url(name)] = str(path)
    PathManager.register_handler(http)
    try:
        model = model_zoo.get(name, trained=True, device="cpu")
    finally:
        PathManager.register_handler(HTTPURLHandler())
    assert model.training
    loaded = model.state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in source.state_dict().items())
