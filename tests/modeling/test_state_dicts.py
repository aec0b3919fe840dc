"""Names, order, shapes and trainability of backbones and proposal generators as published weights have them."""

import pytest
import torch

from detectron2.config import CfgNode
from detectron2.modeling.backbone import build_backbone
from detectron2.modeling.proposal_generator import build_proposal_generator
from tests.facts import fact
from tests.modeling.fact_configs import VARIANTS, cfg_with, variant_cfg, zoo_cfg

PARTS = ("backbone.", "proposal_generator.")


def _models() -> list[str]:
    """Facts of models built from a YAML config whose proposal generator, if any, is the RPN."""
    known = {key.removeprefix("configs/") for key in fact("zoo_configs")}
    return [
        name
        for name, model in fact("state_dicts").items()
        if (name in VARIANTS or model.get("how", {}).get("note", "") is None) and model["how"].get("config") in known
    ]


def _build(cfg: CfgNode) -> torch.nn.Module:
    """The backbone and, for the models that have one, the proposal generator."""
    built = torch.nn.Module()
    built.backbone = build_backbone(cfg)
    if cfg.MODEL.META_ARCHITECTURE not in ("RetinaNet", "SemanticSegmentor"):
        built.proposal_generator = build_proposal_generator(cfg, built.backbone.output_shape())
    return built


def _entries(module: torch.nn.Module) -> list[list]:
    trainable = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    parameters = {name for name, _ in module.named_parameters()}
    kinds = {name: "p" if name in trainable else "f" if name in parameters else "b" for name in module.state_dict()}
    return [
        [name, list(value.shape), str(value.dtype).removeprefix("torch."), kinds[name]]
        for name, value in module.state_dict().items()
    ]


@pytest.mark.parametrize("name", _models())
def test_entries(name):
    model = fact("state_dicts")[name]
    config = model["how"]["config"]
    cfg = variant_cfg(name, config) if name in VARIANTS else zoo_cfg(config)
    with torch.device("meta"):
        built = _build(cfg)
    expected = [[*entry, kind] for entry, kind in zip(model["entries"], model["kind"], strict=True)]
    assert _entries(built) == [entry for entry in expected if entry[0].startswith(PARTS)]


def _spread(parameter: torch.Tensor) -> float:
    return float(parameter.std(correction=0))


@pytest.mark.parametrize(
    "config", ["COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml", "COCO-Detection/retinanet_R_50_FPN_1x.yaml"]
)
def test_initial_weights_have_the_published_spread(config):
    cfg = cfg_with({**fact("zoo_configs")[f"configs/{config}"], "MODEL.BACKBONE.FREEZE_AT": 0})
    torch.manual_seed(0)
    built = _build(cfg)
    statistics = fact("init_stats")[config]
    checked = 0
    for name, value in built.state_dict().items():
        mean, std, low, high = statistics[name]
        assert _spread(value) == pytest.approx(std, rel=0.05, abs=1e-6), name
        assert float(value.mean()) == pytest.approx(mean, abs=max(0.05 * std, 1e-5)), name
        if low == high:
            assert torch.allclose(value, torch.full_like(value, low), atol=1e-4), name
        checked += 1
    assert checked > 280
