"""Packages that stand beside detectron2: the quantization engine and what ties it to the framework."""
