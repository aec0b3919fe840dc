"""Cross-stage partial block with three convolutions."""

from torch import Tensor, nn

from detectron2.layers import Concat

from .bottleneck import Bottleneck
from .conv import conv_bn_act


class C3(nn.Module):
    """Two parallel branches, one of them with bottlenecks, joined by a third convolution (CSPNet, figure 3)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        repeats: int = 1,
        shortcut: bool = True,
        kernels: tuple[int, int] = (1, 3),
        expansion: float = 0.5,
        depthwise: bool = False,
        reparameterized: bool = False,
    ) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            repeats: number of bottlenecks.
            shortcut, kernels, depthwise, reparameterized: as of :class:`Bottleneck`.
            expansion: channels of each branch, as a fraction of ``out_channels``.
        """
        super().__init__()
        hidden = int(out_channels * expansion)
        self.main = conv_bn_act(in_channels, hidden)
        self.side = conv_bn_act(in_channels, hidden)
        self.blocks = nn.Sequential(
            *(
                Bottleneck(
                    hidden,
                    hidden,
                    shortcut=shortcut,
                    kernels=kernels,
                    expansion=1.0,
                    depthwise=depthwise,
                    reparameterized=reparameterized,
                )
                for _ in range(repeats)
            )
        )
        self.concat = Concat()
        self.merge = conv_bn_act(2 * hidden, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H, W]``."""
        return self.merge(self.concat([self.blocks(self.main(x)), self.side(x)]))
