"""What a module needs to know of a feature map before it sees one."""

from dataclasses import dataclass


@dataclass
class ShapeSpec:
    """Shape of a feature map; what is unknown or varies from batch to batch is None.

    ``stride`` is in input pixels per feature pixel.
    """

    channels: int | None = None
    height: int | None = None
    width: int | None = None
    stride: int | None = None
