"""Implicit knowledge: a learned vector that shifts or scales the channels of a feature map (YOLOR, section 3.2)."""

import torch
from torch import Tensor, nn

STD = 0.02


class ImplicitShift(nn.Module):
    """Adds a learned number to each channel."""

    def __init__(self, channels: int) -> None:
        """
        Args:
            channels: of the feature map.
        """
        super().__init__()
        self.implicit = nn.Parameter(torch.empty(1, channels, 1, 1))
        nn.init.normal_(self.implicit, 0.0, STD)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` -> ``Tensor[N, C, H, W]``."""
        return x + self.implicit


class ImplicitScale(nn.Module):
    """Multiplies each channel by a learned number."""

    def __init__(self, channels: int) -> None:
        """
        Args:
            channels: of the feature map.
        """
        super().__init__()
        self.implicit = nn.Parameter(torch.empty(1, channels, 1, 1))
        nn.init.normal_(self.implicit, 1.0, STD)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` -> ``Tensor[N, C, H, W]``."""
        return x * self.implicit
