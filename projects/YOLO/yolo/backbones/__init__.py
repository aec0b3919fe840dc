"""Backbones and necks for every meta architecture; strides 4, 8, 16, 32 of a body are named res2 to res5."""

from .csp_darknet import CSPDarknet, build_csp_darknet_backbone
from .imported import ImportedBackbone, build_imported_backbone
from .mobilenet_v2 import build_mobilenet_v2_backbone
from .mobilenet_v3 import build_mobilenet_v3_backbone
from .pafpn import PAFPN
from .pyramids import build_fpn_backbone, build_pafpn_backbone, build_resnet_pafpn_backbone
from .stages import StagedBackbone
