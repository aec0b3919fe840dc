"""Second moments of what a layer's weight is multiplied by."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...modules import QuantLayer


def has_patches(layer: QuantLayer) -> bool:
    """Whether :func:`patches` knows the kind of layer."""
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros")


def patches(layer: QuantLayer, x: Tensor) -> Tensor:
    """What the layer's weight is multiplied by, ``Tensor[G, K, M]``.

    Args:
        layer: a convolution or linear layer (:func:`has_patches`).
        x: its input.

    Returns:
        for each of G groups and M positions the K values that go into an output, in the order of the weight's.
    """
    if isinstance(layer, nn.Linear):
        return x.reshape(-1, x.shape[-1]).T[None]
    assert isinstance(layer, nn.Conv2d)
    if isinstance(layer.padding, str):
        x, padding = F.pad(x, layer._reversed_padding_repeated_twice), (0, 0)
    else:
        padding = layer.padding
    columns = F.unfold(x, layer.kernel_size, layer.dilation, padding, layer.stride)
    count, _, places = columns.shape
    return columns.view(count, layer.groups, -1, places).permute(1, 2, 0, 3).flatten(2)


class InputMoments:
    """Sums over many positions of a layer's quantized input q and its input f in floating point.

    Args:
        weight: W of the layer, ``Tensor[G, N, K]``.
        share: positions of one call that are used at most, drawn at random.
        seed: of the draw.
    """

    def __init__(self, weight: Tensor, share: int, seed: int = 0) -> None:
        self.count = 0
        self._weight = weight
        self._share = share
        self._power = 0.0
        self._generator = torch.Generator().manual_seed(seed)
        self._sums: tuple[Tensor, ...] = ()
        self._origins: tuple[Tensor, ...] = ()

    def add(self, quantized: Tensor, exact: Tensor) -> None:
        """Take a call's patches, both ``Tensor[G, K, M]``."""
        places = quantized.shape[2]
        if not places:
            return
        if places > self._share:
            drawn = torch.randperm(places, generator=self._generator)[: self._share].to(quantized.device)
            quantized, exact = quantized[:, :, drawn], exact[:, :, drawn]
        q, f = quantized.float(), exact.float()
        if not self.count:
            self._origins = q.mean(2), f.mean(2)  # products of what is left do not drown in those of means
        self._power += float((self._weight.float() @ f).square().sum(dtype=torch.double))
        q, f = (t - origin[:, :, None] for t, origin in zip((q, f), self._origins, strict=True))
        sums = tuple(t.double() for t in (q @ q.mT, q @ f.mT, q.sum(2), f.sum(2)))
        self._sums = tuple(a + b for a, b in zip(self._sums, sums, strict=True)) if self._sums else sums
        self.count += q.shape[2]

    def means(self) -> tuple[Tensor, Tensor]:
        """Of q and f, each ``Tensor[G, K]``."""
        q, f = self._origins
        return self._sums[2] / self.count + q, self._sums[3] / self.count + f

    def second(self, *, centred: bool) -> tuple[Tensor, Tensor]:
        """Means of ``q q^T`` and ``q f^T``, each ``Tensor[G, K, K]``; centred: covariances."""
        own, cross, q, f = (total / self.count for total in self._sums)
        own, cross = own - _outer(q, q), cross - _outer(q, f)
        if not centred:
            q, f = self.means()
            own, cross = own + _outer(q, q), cross + _outer(q, f)
        return own, cross

    def power(self, *, centred: bool) -> float:
        """Mean square of ``W f``, summed over outputs; centred: its variance."""
        mean = self._weight.double() @ self.means()[1][:, :, None]
        return self._power / self.count - float(mean.square().sum()) * centred


def _outer(a: Tensor, b: Tensor) -> Tensor:
    return a[:, :, None] * b[:, None, :]
