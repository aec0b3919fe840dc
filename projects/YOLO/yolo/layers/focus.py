"""Space to channels, in front of the first convolution."""

from torch import Tensor, nn

from detectron2.layers import Concat

from .conv import conv_bn_act


class Focus(nn.Module):
    """Puts each 2 x 2 patch into the channels, then convolves (YOLOv5 before version 6, YOLOX)."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int = 3) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            kernel_size: of the convolution.
        """
        super().__init__()
        self.concat = Concat()
        self.conv = conv_bn_act(4 * in_channels, out_channels, kernel_size=kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` with even H and W -> ``Tensor[N, out, H / 2, W / 2]``.

        The order of the patches is top left, bottom left, top right, bottom right.
        """
        patches = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.conv(self.concat(patches))
