"""Backbones from ONNX and TorchScript files: their operators become layers that can be trained and quantized."""

from .backbone import ImportedBackbone, build_imported_backbone, load_graph
from .graph import ImportedGraph, Node
