"""Feature Pyramid Networks (Lin et al., 2017)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from detectron2.layers.batch_norm import get_norm, split_relu
from detectron2.layers.elementwise import Add, UpsampleTo
from detectron2.layers.shape_spec import ShapeSpec
from detectron2.layers.wrappers import Conv2d
from detectron2.modeling.backbone.backbone import Backbone
from detectron2.modeling.backbone.build import BACKBONE_REGISTRY
from detectron2.modeling.backbone.features import feature_shapes
from detectron2.modeling.backbone.resnet import build_resnet_backbone
from detectron2.modeling.weight_init import c2_xavier_fill

__all__ = [
    "FPN",
    "LastLevelMaxPool",
    "LastLevelP6P7",
    "build_fcos_resnet_fpn_backbone",
    "build_resnet_fpn_backbone",
    "build_retinanet_resnet_fpn_backbone",
]

_FUSE_TYPES = ("sum", "avg")


class FPN(Backbone):
    """A top-down pathway with lateral connections over another backbone; outputs "p2", "p3", ... by log2 of stride.

    Args:
        bottom_up: the backbone; its ``output_shape()`` tells channels and strides.
        in_features: feature maps to use, from fine to coarse, each of twice the stride of the one before.
        out_channels: channels of every output.
        norm: of the lateral and output convolutions, as for ``get_norm``; with a norm they have no bias.
        top_block: module with ``in_feature`` and ``num_levels`` that makes the coarser levels.
        fuse_type: "sum" or "avg" of the lateral and the upsampled coarser feature.
        square_pad: side to which images are padded to a square; 0: no square.
        use_relu: follow every convolution by a ReLU (AQD, section 3.3: what is quantized next has no negative
            values); a ``norm`` spelt "BN-ReLU" asks for the same.

    Raises:
        ValueError: for strides that do not double, an unknown ``fuse_type`` or no features.
    """

    def __init__(
        self,
        bottom_up: Backbone,
        in_features: Sequence[str],
        out_channels: int,
        norm: str = "",
        top_block: nn.Module | None = None,
        fuse_type: str = "sum",
        square_pad: int = 0,
        use_relu: bool = False,
    ) -> None:
        super().__init__()
        if not in_features:
            raise ValueError("in_features (MODEL.FPN.IN_FEATURES) is empty")
        if fuse_type not in _FUSE_TYPES:
            raise ValueError(f"fuse_type (MODEL.FPN.FUSE_TYPE) must be one of {_FUSE_TYPES}, got {fuse_type!r}")
        shapes = bottom_up.output_shape()
        strides = [s.stride for s in feature_shapes(shapes, in_features, "in_features (MODEL.FPN.IN_FEATURES)")]
        _assert_strides_are_log2_contiguous(strides)

        self.in_features = tuple(in_features)
        self._stages = [stride.bit_length() - 1 for stride in strides]
        norm, relu = _norm_and_relu(norm, use_relu)
        for name, stage in zip(in_features, self._stages, strict=True):
            self.add_module(f"fpn_lateral{stage}", _conv(shapes[name].channels, out_channels, 1, norm, relu))
            self.add_module(f"fpn_output{stage}", _conv(out_channels, out_channels, 3, norm, relu))
        num_merges = len(strides) - 1
        self.upsamples = nn.ModuleList(UpsampleTo(mode="nearest") for _ in range(num_merges))
        # The backward pass of a ReLU needs its output as it was.
        self.adds = nn.ModuleList(Add(inplace=relu is None) for _ in range(num_merges))
        self.top_block = top_block
        self.bottom_up = bottom_up

        num_levels = len(strides) + (top_block.num_levels if top_block is not None else 0)
        levels = range(self._stages[0], self._stages[0] + num_levels)
        self._out_features = [f"p{level}" for level in levels]
        self._out_feature_strides = {f"p{level}": 2**level for level in levels}
        self._out_feature_channels = dict.fromkeys(self._out_features, out_channels)
        self._size_divisibility = strides[-1]
        self._square_pad = square_pad
        self._fuse_type = fuse_type

    @property
    def size_divisibility(self) -> int:
        """The coarsest stride of the bottom-up features, in pixels."""
        return self._size_divisibility

    @property
    def padding_constraints(self) -> dict[str, int]:
        """``{"square_size": side}``, 0 for no square."""
        return {"square_size": self._square_pad}

    @property
    def lateral_convs(self) -> list[nn.Module]:
        """The 1x1 convolutions, from coarse to fine."""
        return [getattr(self, f"fpn_lateral{stage}") for stage in reversed(self._stages)]

    @property
    def output_convs(self) -> list[nn.Module]:
        """The 3x3 convolutions, from coarse to fine."""
        return [getattr(self, f"fpn_output{stage}") for stage in reversed(self._stages)]

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Feature maps ``Tensor[N, out_channels, H / stride, W / stride]`` of ``Tensor[N, C, H, W]``, by name."""
        features = self.bottom_up(x)
        laterals = [conv(features[name]) for conv, name in zip(self.lateral_convs, self.in_features[::-1], strict=True)]
        merged = laterals[:1]
        for lateral, upsample, add in zip(laterals[1:], self.upsamples, self.adds, strict=True):
            fused = add(lateral, upsample(merged[-1], lateral))
            merged.append(fused / 2 if self._fuse_type == "avg" else fused)
        outputs = [conv(feature) for conv, feature in zip(self.output_convs, merged, strict=True)][::-1]
        results = dict(zip(self._out_features, outputs, strict=False))
        if self.top_block is not None:
            source = self.top_block.in_feature
            extra = self.top_block(features[source] if source in features else results[source])
            results.update(zip(self._out_features[len(outputs) :], extra, strict=True))
        return results


class LastLevelMaxPool(nn.Module):
    """Level p6 as every second cell of p5 (FPN paper, section 4.1)."""

    def __init__(self) -> None:
        super().__init__()
        self.num_levels = 1
        self.in_feature = "p5"

    def forward(self, x: Tensor) -> list[Tensor]:
        """``Tensor[N, C, H, W]`` to one ``Tensor[N, C, ceil(H / 2), ceil(W / 2)]``."""
        return [F.max_pool2d(x, kernel_size=1, stride=2)]


class LastLevelP6P7(nn.Module):
    """Levels p6 and p7 by convolutions of stride 2 (RetinaNet paper, section 4, footnote 2).

    Args:
        in_channels: channels of the feature that the levels start from.
        out_channels: channels of both levels.
        in_feature: its name, in the bottom-up backbone or the pyramid.
        norm, use_relu: as of :class:`FPN`; the norm is used only with the ReLU.
    """

    def __init__(
        self, in_channels: int, out_channels: int, in_feature: str = "res5", norm: str = "", use_relu: bool = False
    ) -> None:
        super().__init__()
        self.num_levels = 2
        self.in_feature = in_feature
        norm, relu = _norm_and_relu(norm, use_relu)
        if relu is not None:
            self.p6 = _conv(in_channels, out_channels, 3, norm, relu, stride=2)
            self.p7 = _conv(out_channels, out_channels, 3, norm, relu, stride=2)
            return
        self.p6 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=2, padding=1)
        self.p7 = nn.Conv2d(out_channels, out_channels, kernel_size=3, stride=2, padding=1)
        c2_xavier_fill(self.p6)
        c2_xavier_fill(self.p7)

    def forward(self, c5: Tensor) -> list[Tensor]:
        """``Tensor[N, C, H, W]`` to p6 and p7, each half the size of the one before."""
        p6 = self.p6(c5)
        return [p6, self.p7(F.relu(p6))]


def _norm_and_relu(norm: str, use_relu: bool) -> tuple[str, nn.Module | None]:
    name, in_name = split_relu(norm)
    return name, nn.ReLU(inplace=True) if use_relu or in_name else None


def _conv(
    in_channels: int, out_channels: int, kernel_size: int, norm: str, relu: nn.Module | None = None, stride: int = 1
) -> Conv2d:
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        bias=norm == "",
        norm=get_norm(norm, out_channels),
        activation=relu,
    )
    c2_xavier_fill(conv)
    return conv


def _assert_strides_are_log2_contiguous(strides: Sequence[int]) -> None:
    """Raise ``ValueError`` unless each stride is twice the one before."""
    if any(fine * 2 != coarse for fine, coarse in zip(strides, strides[1:], strict=False)):
        raise ValueError(f"strides of the feature maps must double from each to the next, got {list(strides)}")


def _fpn_from_config(cfg: Any, bottom_up: Backbone, top_block: nn.Module) -> FPN:
    return FPN(
        bottom_up=bottom_up,
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=top_block,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
        use_relu=cfg.MODEL.FPN.USE_RELU,
    )


@BACKBONE_REGISTRY.register()
def build_resnet_fpn_backbone(cfg: Any, input_shape: ShapeSpec) -> FPN:
    """ResNet with a pyramid from ``MODEL.FPN``, topped by a max pooling to p6."""
    return _fpn_from_config(cfg, build_resnet_backbone(cfg, input_shape), LastLevelMaxPool())


@BACKBONE_REGISTRY.register()
def build_retinanet_resnet_fpn_backbone(cfg: Any, input_shape: ShapeSpec) -> FPN:
    """ResNet with a pyramid from ``MODEL.FPN``, topped by convolutions of res5 to p6 and p7."""
    bottom_up = build_resnet_backbone(cfg, input_shape)
    channels = bottom_up.output_shape()["res5"].channels
    return _fpn_from_config(cfg, bottom_up, _p6_p7(cfg, channels, "res5"))


@BACKBONE_REGISTRY.register()
def build_fcos_resnet_fpn_backbone(cfg: Any, input_shape: ShapeSpec) -> FPN:
    """ResNet with a pyramid from ``MODEL.FPN``, topped by convolutions of p5 to p6 and p7 (FCOS paper, section 3)."""
    top_block = _p6_p7(cfg, cfg.MODEL.FPN.OUT_CHANNELS, "p5")
    return _fpn_from_config(cfg, build_resnet_backbone(cfg, input_shape), top_block)


def _p6_p7(cfg: Any, channels: int, in_feature: str) -> LastLevelP6P7:
    fpn = cfg.MODEL.FPN
    return LastLevelP6P7(channels, fpn.OUT_CHANNELS, in_feature, fpn.NORM, fpn.USE_RELU)
