"""ResNet and ResNeXt, and how the config describes them."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from detectron2.layers.batch_norm import get_norm  # noqa: F401  (public name of this module)
from detectron2.layers.blocks import CNNBlockBase
from detectron2.layers.blocks import CNNBlockBase as ResNetBlockBase  # noqa: F401
from detectron2.layers.deform_conv import DeformConv, ModulatedDeformConv  # noqa: F401
from detectron2.layers.shape_spec import ShapeSpec
from detectron2.layers.wrappers import Conv2d  # noqa: F401
from detectron2.modeling.backbone.backbone import Backbone
from detectron2.modeling.backbone.build import BACKBONE_REGISTRY
from detectron2.modeling.backbone.resnet_blocks import (
    BasicBlock,
    BasicStem,
    BottleneckBlock,
    DeformBottleneckBlock,
)
from detectron2.modeling.weight_init import normal_fill

__all__ = [
    "BasicBlock",
    "BasicStem",
    "BottleneckBlock",
    "DeformBottleneckBlock",
    "ResNet",
    "ResNetBlockBase",
    "build_resnet_backbone",
    "make_stage",
]

# Blocks in stages res2 to res5 (He et al., "Deep Residual Learning", table 1).
_BLOCKS_PER_STAGE = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_FIRST_STAGE = 2


class ResNet(Backbone):
    """A stem and a row of residual stages, named "stem", "res2", "res3", ..., and a classifier, "linear".

    Args:
        stem: module from images to the first feature map, with a ``stride``.
        stages: blocks of each stage; stages after the last one in ``out_features`` are left out.
        num_classes: width of the classifier; None: no classifier.
        out_features: names to return; by default the classifier's output, or the last stage's.
        freeze_at: see :meth:`freeze`.

    Raises:
        ValueError: for names of features that do not exist.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[Sequence[CNNBlockBase]],
        num_classes: int | None = None,
        out_features: Sequence[str] | None = None,
        freeze_at: int = 0,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.num_classes = num_classes
        names = [f"res{index}" for index in range(_FIRST_STAGE, _FIRST_STAGE + len(stages))]
        if out_features is None:
            out_features = [names[-1] if num_classes is None else "linear"]
        self._out_features = list(out_features)
        self._check_names(names)

        stride = stem.stride
        self._out_feature_strides = {"stem": stride}
        self._out_feature_channels = {"stem": stem.out_channels}
        self.stage_names = tuple(names[: _num_stages_used(self._out_features, names)])
        for name, blocks in zip(self.stage_names, stages, strict=False):
            self.add_module(name, nn.Sequential(*blocks))
            for block in blocks:
                stride *= block.stride
            self._out_feature_strides[name] = stride
            self._out_feature_channels[name] = blocks[-1].out_channels

        if num_classes is not None:
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.linear = nn.Linear(self._out_feature_channels[self.stage_names[-1]], num_classes)
            # Goyal et al., "Accurate, Large Minibatch SGD", section 5.1.
            normal_fill(self.linear, std=0.01)
        self.freeze(freeze_at)

    @property
    def stages(self) -> list[nn.Module]:
        """The stages in order."""
        return [getattr(self, name) for name in self.stage_names]

    def _check_names(self, stage_names: list[str]) -> None:
        known = ["stem", *stage_names, *(["linear"] if self.num_classes is not None else [])]
        unknown = [name for name in self._out_features if name not in known]
        if unknown or not self._out_features:
            raise ValueError(f"out_features {self._out_features} must be some of {known}")

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Features of an image batch ``Tensor[N, C, H, W]`` by name.

        Raises:
            ValueError: when the input has not four dimensions.
        """
        if x.dim() != 4:
            raise ValueError(f"ResNet takes images Tensor[N, C, H, W], got shape {tuple(x.shape)}")
        features = {"stem": self.stem(x)}
        x = features["stem"]
        for name, stage in zip(self.stage_names, self.stages, strict=True):
            x = features[name] = stage(x)
        if self.num_classes is not None:
            features["linear"] = self.linear(self.avgpool(x).flatten(1))
        return {name: features[name] for name in features if name in self._out_features}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each returned feature map; the classifier's output has none."""
        return {
            name: ShapeSpec(channels=self._out_feature_channels[name], stride=self._out_feature_strides[name])
            for name in self._out_features
            if name != "linear"
        }

    def freeze(self, freeze_at: int = 0) -> "ResNet":
        """Stop training of the first stages, whose batch norms become ``FrozenBatchNorm2d``.

        Args:
            freeze_at: 0 nothing, 1 the stem, 2 the stem and res2, and so on.
        """
        if freeze_at >= 1:
            self.stem.freeze()
        for stage in self.stages[: max(freeze_at - _FIRST_STAGE + 1, 0)]:
            for block in stage:
                block.freeze()
        return self

    @staticmethod
    def make_stage(
        block_class: type[CNNBlockBase], num_blocks: int, *, in_channels: int, out_channels: int, **kwargs: Any
    ) -> list[CNNBlockBase]:
        """Blocks in a row, the first of which changes the channels.

        Args:
            block_class: called as ``block_class(in_channels=, out_channels=, **arguments)``.
            num_blocks: length of the row.
            in_channels, out_channels: channels of the stage's input and output.
            kwargs: arguments of every block; ``name_per_block=[...]`` gives each its own value of ``name``.

        Raises:
            ValueError: when a list has not one value a block, or an argument is given in both ways.
        """
        shared = {name: value for name, value in kwargs.items() if not name.endswith("_per_block")}
        varying = {name.removesuffix("_per_block"): kwargs[name] for name in kwargs if name not in shared}
        for name, values in varying.items():
            if name in shared or len(values) != num_blocks:
                raise ValueError(f"{name}_per_block needs {num_blocks} values and no {name} beside it; got {kwargs}")
        blocks = []
        for index in range(num_blocks):
            own = {name: values[index] for name, values in varying.items()}
            blocks.append(block_class(in_channels=in_channels, out_channels=out_channels, **shared, **own))
            in_channels = out_channels
        return blocks

    @staticmethod
    def make_default_stages(
        depth: int, block_class: type[CNNBlockBase] | None = None, **kwargs: Any
    ) -> list[list[CNNBlockBase]]:
        """Stages res2 to res5 of the published networks.

        Args:
            depth: 18, 34, 50, 101 or 152.
            block_class: by default ``BasicBlock`` to depth 34 and ``BottleneckBlock`` from 50 on.
            kwargs: further arguments of :meth:`make_stage`, not of widths or strides.

        Raises:
            ValueError: for another depth.
        """
        counts = _blocks_per_stage(depth)
        if block_class is None:
            block_class = BasicBlock if depth < 50 else BottleneckBlock
        widths = (64, 128, 256, 512) if depth < 50 else (256, 512, 1024, 2048)
        stages, in_channels = [], 64
        for position, (count, width) in enumerate(zip(counts, widths, strict=True)):
            if depth >= 50:
                kwargs["bottleneck_channels"] = width // 4
            strides = [1 if position == 0 else 2] + [1] * (count - 1)
            stages.append(
                ResNet.make_stage(
                    block_class, count, in_channels=in_channels, out_channels=width, stride_per_block=strides, **kwargs
                )
            )
            in_channels = width
        return stages


def _num_stages_used(out_features: Sequence[str], stage_names: list[str]) -> int:
    """How many stages the named features need; the classifier needs all."""
    if "linear" in out_features:
        return len(stage_names)
    return max(stage_names.index(name) + 1 if name in stage_names else 0 for name in out_features)


def _blocks_per_stage(depth: int) -> tuple[int, ...]:
    if depth not in _BLOCKS_PER_STAGE:
        raise ValueError(f"MODEL.RESNETS.DEPTH {depth} is not one of {sorted(_BLOCKS_PER_STAGE)}")
    return _BLOCKS_PER_STAGE[depth]


def make_stage(*args: Any, **kwargs: Any) -> list[CNNBlockBase]:
    """Older name of :meth:`ResNet.make_stage`."""
    return ResNet.make_stage(*args, **kwargs)


@BACKBONE_REGISTRY.register()
def build_resnet_backbone(cfg: Any, input_shape: ShapeSpec) -> ResNet:
    """Build the ResNet that ``MODEL.RESNETS`` describes, up to the last stage in its ``OUT_FEATURES``.

    Raises:
        ValueError: for settings that fit no network; the message names the key.
    """
    settings = cfg.MODEL.RESNETS
    _check_settings(settings)
    stem = BasicStem(input_shape.channels, settings.STEM_OUT_CHANNELS, settings.NORM)
    names = [f"res{index}" for index in range(_FIRST_STAGE, 6)]
    num_stages = _num_stages_used(settings.OUT_FEATURES, names)
    stages, in_channels = [], settings.STEM_OUT_CHANNELS
    for position in range(num_stages):
        out_channels = settings.RES2_OUT_CHANNELS * 2**position
        stages.append(_stage_from_config(settings, position, in_channels, out_channels))
        in_channels = out_channels
    return ResNet(stem, stages, out_features=settings.OUT_FEATURES, freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT)


def _stage_from_config(settings: Any, position: int, in_channels: int, out_channels: int) -> list[CNNBlockBase]:
    """Stage ``res{position + 2}``."""
    num_blocks = _blocks_per_stage(settings.DEPTH)[position]
    dilation = settings.RES5_DILATION if position == 3 else 1
    first_stride = 1 if position == 0 or dilation != 1 else 2
    arguments: dict[str, Any] = {"norm": settings.NORM, "stride_per_block": [first_stride] + [1] * (num_blocks - 1)}
    block_class: type[CNNBlockBase] = BasicBlock
    if settings.DEPTH >= 50:
        block_class = BottleneckBlock
        arguments |= {
            "bottleneck_channels": settings.NUM_GROUPS * settings.WIDTH_PER_GROUP * 2**position,
            "num_groups": settings.NUM_GROUPS,
            "stride_in_1x1": settings.STRIDE_IN_1X1,
            "dilation": dilation,
        }
        if settings.DEFORM_ON_PER_STAGE[position]:
            block_class = DeformBottleneckBlock
            arguments["deform_modulated"] = settings.DEFORM_MODULATED
            arguments["deform_num_groups"] = settings.DEFORM_NUM_GROUPS
    return ResNet.make_stage(block_class, num_blocks, in_channels=in_channels, out_channels=out_channels, **arguments)


def _check_settings(settings: Any) -> None:
    _blocks_per_stage(settings.DEPTH)
    if settings.RES5_DILATION not in (1, 2):
        raise ValueError(f"MODEL.RESNETS.RES5_DILATION must be 1 or 2, got {settings.RES5_DILATION}")
    if settings.DEPTH >= 50:
        return
    if not 0 < settings.RES2_OUT_CHANNELS <= 64:
        # The default of 256 is meant for bottlenecks; below 64 the network is a narrower one.
        raise ValueError(
            f"MODEL.RESNETS.RES2_OUT_CHANNELS must be 64 (or less, for a narrower network) for depth {settings.DEPTH}, "
            f"got {settings.RES2_OUT_CHANNELS}"
        )
    required = {"RES5_DILATION": 1, "NUM_GROUPS": 1}
    for key, value in required.items():
        if settings[key] != value:
            raise ValueError(f"MODEL.RESNETS.{key} must be {value} for depth {settings.DEPTH}, got {settings[key]}")
    if any(settings.DEFORM_ON_PER_STAGE):
        raise ValueError(f"MODEL.RESNETS.DEFORM_ON_PER_STAGE needs depth 50 or more, got depth {settings.DEPTH}")
