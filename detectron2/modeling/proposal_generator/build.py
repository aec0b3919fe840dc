"""Proposal generators by name."""

from typing import Any

from fvcore.common.registry import Registry
from torch import nn

from detectron2.layers.shape_spec import ShapeSpec
from detectron2.utils.registry import registered

PROPOSAL_GENERATOR_REGISTRY = Registry("PROPOSAL_GENERATOR")
PROPOSAL_GENERATOR_REGISTRY.__doc__ = """Classes built as ``cls(cfg, input_shape)`` that propose boxes from features."""


def build_proposal_generator(cfg: Any, input_shape: dict[str, ShapeSpec]) -> nn.Module | None:
    """Build the generator that ``MODEL.PROPOSAL_GENERATOR.NAME`` names.

    Returns:
        the module, or None for "PrecomputedProposals": those come with the data.
    """
    name = cfg.MODEL.PROPOSAL_GENERATOR.NAME
    if name == "PrecomputedProposals":
        return None
    return registered(PROPOSAL_GENERATOR_REGISTRY, name, "MODEL.PROPOSAL_GENERATOR.NAME")(cfg, input_shape)
