"""A tensor seen as groups of channels, one range each."""

from torch import Tensor


def to_groups(x: Tensor, num_groups: int, axis: int | None) -> Tensor:
    """``Tensor[G, N]``: the values of each group of channels along ``axis`` in a row; one row without an axis."""
    if axis is None:
        return x.reshape(1, x.numel())
    return x.movedim(axis, 0).reshape(num_groups, x.numel() // num_groups)


def from_groups(rows: Tensor, like: Tensor, axis: int | None) -> Tensor:
    """What :func:`to_groups` made of a tensor in the shape of ``like``, in that shape again."""
    if axis is None:
        return rows.reshape(like.shape)
    return rows.reshape(like.movedim(axis, 0).shape).movedim(0, axis)


def group_sum(x: Tensor, num_groups: int, axis: int | None) -> Tensor:
    """Sum over each group: ``Tensor[G]``, or ``Tensor[]`` without an axis."""
    return x.sum() if axis is None else to_groups(x, num_groups, axis).sum(1)


def group_mean(x: Tensor, num_groups: int, axis: int | None) -> Tensor:
    """Mean over each group: ``Tensor[G]``, or ``Tensor[]`` without an axis."""
    return x.mean() if axis is None else to_groups(x, num_groups, axis).mean(1)
