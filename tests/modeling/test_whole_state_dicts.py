"""Names, order, shapes, trainability and module classes of whole models, and how their heads start."""

import functools

import pytest
import torch
from torch import nn

from detectron2.modeling import META_ARCH_REGISTRY
from tests.facts import fact
from tests.modeling.fact_configs import VARIANTS, variant_cfg, zoo_cfg

HEAD_VARIANTS = {
    "mask_rcnn_R_50_FPN_variants": {
        "MODEL.ROI_BOX_HEAD.NUM_CONV": 4,
        "MODEL.ROI_BOX_HEAD.NORM": "GN",
        "MODEL.ROI_MASK_HEAD.NORM": "GN",
    },
    "retinanet_R_34_FPN_bn": {"MODEL.RETINANET.NORM": "BN"},
}
PARTS_HERE = {"StandardROIHeads", "Res5ROIHeads"}


def _config(name: str):
    how = fact("state_dicts")[name]["how"]
    cfg = variant_cfg(name, how["config"]) if name in VARIANTS else zoo_cfg(how["config"])
    cfg.merge_from_list([item for pair in HEAD_VARIANTS.get(name, {}).items() for item in pair])
    return cfg


def _names() -> list[str]:
    """Facts of models whose every part exists, built from YAML configs."""
    known = {key.removeprefix("configs/") for key in fact("zoo_configs")}
    found = []
    for name, model in fact("state_dicts").items():
        plain = name in VARIANTS or model.get("how", {}).get("note", "") is None
        if not plain or model["how"].get("config") not in known:
            continue
        cfg = _config(name)
        is_rcnn = cfg.MODEL.META_ARCHITECTURE == "GeneralizedRCNN" and cfg.MODEL.ROI_HEADS.NAME in PARTS_HERE
        if (is_rcnn and not cfg.MODEL.KEYPOINT_ON) or cfg.MODEL.META_ARCHITECTURE in ("RetinaNet", "ProposalNetwork"):
            found.append(name)
    return found


@functools.lru_cache(maxsize=2)
def _on_meta(name: str) -> nn.Module:
    cfg = _config(name)
    with torch.device("meta"):
        return META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)


@pytest.mark.parametrize("name", _names())
def test_entries(name):
    model, recorded = _on_meta(name), fact("state_dicts")[name]
    trainable = {key: p.requires_grad for key, p in model.named_parameters()}
    kinds = {True: "p", False: "f", None: "b"}
    entries = [
        [key, list(value.shape), str(value.dtype).removeprefix("torch."), kinds[trainable.get(key)]]
        for key, value in model.state_dict().items()
    ]
    assert entries == [[*entry, kind] for entry, kind in zip(recorded["entries"], recorded["kind"], strict=True)]


@pytest.mark.parametrize("name", _names())
def test_module_classes(name):
    """Every recorded module is there with its class; further ones have no parameters and buffers of their own."""
    model, recorded = _on_meta(name), dict(map(tuple, fact("state_dicts")[name]["modules"]))
    classes = {key: type(module).__name__ for key, module in model.named_modules()}
    heads = ("head", "roi_heads")
    assert {k: v for k, v in classes.items() if k in recorded and k.startswith(heads)} == {
        k: v for k, v in recorded.items() if k.startswith(heads)
    }
    for key in set(classes) - set(recorded):
        assert not list(model.get_submodule(key).state_dict())


INIT_CONFIGS = [
    "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml",
    "COCO-Detection/retinanet_R_50_FPN_1x.yaml",
    "COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x.yaml",
]


@pytest.mark.parametrize("config", INIT_CONFIGS)
def test_heads_start_as_recorded(config):
    """Mean and spread of the initial parameters of the heads, which are built at their full size."""
    cfg = zoo_cfg(config)
    torch.manual_seed(0)
    model = META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)
    recorded = {k: v for k, v in fact("init_stats")[config].items() if k.startswith(("head.", "roi_heads."))}
    parameters = {k: v for k, v in model.state_dict().items() if k in recorded}
    assert len(parameters) == len(recorded) > 10
    for key, (mean, std, low, high) in recorded.items():
        values = parameters[key]
        noise = 6 * std / values.numel() ** 0.5
        assert values.mean().item() == pytest.approx(mean, abs=2 * noise + 1e-4), key
        if std > 1e-5:
            assert values.std(correction=0).item() == pytest.approx(std, rel=0.02 + noise / std), key
            assert values.min().item() == pytest.approx(low, rel=0.4), key
            assert values.max().item() == pytest.approx(high, rel=0.4), key
