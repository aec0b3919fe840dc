"""A backbone made of the layers of a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import BACKBONE_REGISTRY, Backbone

from ..stages import stage_name
from .graph import ImportedGraph, build_steps
from .onnx_file import read_onnx_graph
from .torchscript_file import read_torchscript_graph

__all__ = ["ImportedBackbone", "build_imported_backbone", "load_graph"]

_PROBE = 128  # pixels of the image that strides are found with


class ImportedBackbone(Backbone):
    """Runs the layers of an imported network up to its feature maps, which are named by stride: "res3" for 8.

    The layers start from the weights of the file and can be trained and quantized like any other.

    Attributes:
        layers: the layers by name.
    """

    def __init__(self, graph: ImportedGraph, features: Sequence[str], in_channels: int = 3) -> None:
        """
        Args:
            graph: the operators of the file.
            features: the file's names of the feature maps.
            in_channels: channels of the image.

        Raises:
            ValueError: no feature map, one that is not there, two of the same stride, or an operator that is not
                supported.
        """
        super().__init__()
        if not features:
            raise ValueError("MODEL.YOLO.BACKBONE.IMPORTED.FEATURES is empty: name the feature maps in the file")
        values = [graph.value(name) for name in features]
        self._image = graph.image
        self._steps, layers = build_steps(graph, values)
        self.layers = nn.ModuleDict(layers)
        # The last step that reads a value may forget it.
        self._kept = set(values)
        self._last_reads = {name: index for index, step in enumerate(self._steps) for name in step.inputs}
        shapes = self._probe(values, in_channels, graph.source)
        self._values = dict(zip(map(stage_name, (stride for _, stride in shapes)), values, strict=True))
        if len(self._values) != len(values):
            raise ValueError(f"{graph.source}: feature maps of equal strides, {[stride for _, stride in shapes]}")
        self._out_features = list(self._values)
        self._out_feature_channels = {name: channels for name, (channels, _) in zip(self._values, shapes, strict=True)}
        self._out_feature_strides = {name: stride for name, (_, stride) in zip(self._values, shapes, strict=True)}

    @property
    def size_divisibility(self) -> int:
        """The largest stride, in pixels."""
        return max(self._out_feature_strides.values())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Feature maps ``Tensor[N, C_i, H / stride, W / stride]`` of ``Tensor[N, C, H, W]``, by name."""
        found = self._run(x)
        return {name: found[value] for name, value in self._values.items()}

    def _run(self, image: Tensor) -> dict[str, Tensor]:
        known = {self._image: image}
        for index, step in enumerate(self._steps):
            inputs = [known[name] for name in step.inputs]
            layer = self.layers[step.layer]
            known[step.output] = layer(inputs) if step.takes_list else layer(*inputs)
            for name in set(step.inputs):
                if self._last_reads[name] == index and name not in self._kept:
                    del known[name]
        return known

    @torch.no_grad()
    def _probe(self, values: Sequence[str], in_channels: int, source: str) -> list[tuple[int, int]]:
        """Channels and stride of each value."""
        training = self.training
        try:
            found = self.eval()._run(torch.zeros(1, in_channels, _PROBE, _PROBE, device="cpu"))
        except RuntimeError as error:
            raise ValueError(f"{source} does not take images of {in_channels} channels: {error}") from error
        finally:
            self.train(training)
        shapes = []
        for value in values:
            map_ = found[value]
            if map_.dim() != 4 or map_.shape[2] != map_.shape[3] or _PROBE % map_.shape[2]:
                raise ValueError(
                    f"{source}: {value} has shape {tuple(map_.shape)}, which is no feature map of a stride"
                )
            shapes.append((map_.shape[1], _PROBE // map_.shape[2]))
        return shapes


def load_graph(path: str) -> ImportedGraph:
    """The operators of a file, which is ONNX if its name ends so and TorchScript otherwise.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read.
    """
    if not path:
        raise ValueError("MODEL.YOLO.BACKBONE.IMPORTED.FILE is empty: name an ONNX or a TorchScript file")
    return read_onnx_graph(path) if Path(path).suffix == ".onnx" else read_torchscript_graph(path)


@BACKBONE_REGISTRY.register()
def build_imported_backbone(cfg: Any, input_shape: ShapeSpec) -> ImportedBackbone:
    """From ``MODEL.YOLO.BACKBONE.IMPORTED``."""
    node = cfg.MODEL.YOLO.BACKBONE.IMPORTED
    return ImportedBackbone(load_graph(node.FILE), node.FEATURES, input_shape.channels or 3)
