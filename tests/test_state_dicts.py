"""State dicts of whole models: names, shapes, types, order and what is trained, as published weights have them."""

import re

import pytest
import torch

from detectron2 import model_zoo
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from tests.facts import fact
from tests.modeling.fact_configs import VARIANTS, cfg_with
from tests.modeling.tiny_models import build_fcos

# Models with these parts come later; the note of a variant or the config's name tells.
LATER = re.compile(r"keypoint|panoptic|semantic|cascade|rotated|[Rr]RPN|projects/")
HEADS = {
    "mask_rcnn_R_50_FPN_variants": {
        "MODEL.ROI_BOX_HEAD.NUM_CONV": 4,
        "MODEL.ROI_BOX_HEAD.NORM": "GN",
        "MODEL.ROI_MASK_HEAD.NORM": "GN",
    },
    "retinanet_R_34_FPN_bn": {"MODEL.RETINANET.NORM": "BN"},
}
MODELS = {
    name: model
    for name, model in fact("state_dicts").items()
    if "config" in model.get("how", {}) and not LATER.search(f"{name} {model['how']}")
}
# Models of LazyConfigs that a YAML file here builds as well.
FROM_FILES = {
    f"lazy__{name.replace('/', '__')}": f"{name}.yaml"
    for name in (
        "COCO-Detection/retinanet_R_50_FPN_1x",
        "COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x",
        "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x",
    )
}


def state_of(model: torch.nn.Module) -> list[list]:
    """[name, shape, type, "p"arameter, "f"rozen parameter or "b"uffer] in order."""
    kinds = {name: "p" if p.requires_grad else "f" for name, p in model.named_parameters()}
    return [
        [name, list(value.shape), str(value.dtype).removeprefix("torch."), kinds.get(name, "b")]
        for name, value in model.state_dict().items()
    ]


def check(built: torch.nn.Module, model: dict) -> None:
    expected = [[*entry, kind] for entry, kind in zip(model["entries"], model["kind"], strict=True)]
    ours = state_of(built)
    assert sorted(map(str, ours)) == sorted(map(str, expected))
    assert [entry[0] for entry in ours] == [entry[0] for entry in expected]
    assert sum(p.numel() for p in built.parameters()) == model["num_params"]


def build(cfg: CfgNode) -> torch.nn.Module:
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        return build_model(cfg)


@pytest.mark.parametrize("name", MODELS)
def test_state_dict(name):
    config = fact("zoo_configs")[f"configs/{MODELS[name]['how']['config']}"]
    check(build(cfg_with({**config, **VARIANTS.get(name, {}), **HEADS.get(name, {})})), MODELS[name])


@pytest.mark.parametrize("name", FROM_FILES)
def test_state_dict_of_config_file(name):
    check(build(model_zoo.get_config(FROM_FILES[name])), fact("state_dicts")[name])


def test_state_dict_of_fcos():
    with torch.device("meta"):
        model = build_fcos(width=64, res2=256, fpn_channels=256, num_convs=4, num_classes=80, norm="GN")
    model.backbone.bottom_up.freeze(2)
    check(model, fact("state_dicts")["lazy__COCO-Detection__fcos_R_50_FPN_1x"])


def test_count(capsys):
    total, here = sum("how" in model for model in fact("state_dicts").values()), len(MODELS) + len(FROM_FILES) + 1
    with capsys.disabled():
        print(f"\nstate dicts: {here} of {total} models built, {total - here} left for later")
    assert here > 35
