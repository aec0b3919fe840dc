"""What the networks of all detectors have in common: feature maps in front of a head."""

from torch import Tensor, nn

from .heads.base import Anchors, DetectionHead, HeadKind

__all__ = ["DetectionNetwork"]


class DetectionNetwork(nn.Module):
    """From a batch of images to raw predictions.

    Subclasses set the attributes and write ``features`` and ``forward``.

    Attributes:
        family, size: what it was built from.
        head: the head.
    """

    family: str
    size: str
    head: DetectionHead

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels per cell, for each level."""
        return self.head.strides

    @property
    def size_divisibility(self) -> int:
        """Height and width of the input are multiples of this many pixels."""
        return max(self.strides)

    @property
    def head_kind(self) -> HeadKind:
        """What the channels of the raw predictions mean; see :mod:`.decode`."""
        return self.head.head_kind

    @property
    def reg_max(self) -> int | None:
        """Bins of a box side; None for heads without."""
        return self.head.reg_max

    @property
    def anchors(self) -> Anchors | None:
        """Width and height of the anchors in pixels, for each level and anchor; None for heads without."""
        return self.head.anchors

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.head.num_classes

    def output_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """Channels, height and width of the raw predictions of each level, for an image of that size in pixels.

        Raises:
            ValueError: the size is no multiple of :attr:`size_divisibility`.
        """
        divisor = self.size_divisibility
        if height % divisor or width % divisor:
            raise ValueError(f"height and width must be multiples of {divisor}, not {height} and {width}")
        return [(self.head.out_channels, height // stride, width // stride) for stride in self.strides]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Raw predictions ``Tensor[N, C, H / stride, W / stride]`` of ``Tensor[N, in_channels, H, W]``, by level."""
        raise NotImplementedError
