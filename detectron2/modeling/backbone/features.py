"""Feature maps by name."""

from collections.abc import Mapping, Sequence

from detectron2.layers.shape_spec import ShapeSpec


def feature_shapes(shapes: Mapping[str, ShapeSpec], names: Sequence[str], key: str) -> list[ShapeSpec]:
    """The shapes of the named feature maps, in the order of ``names``.

    Args:
        shapes: of all feature maps that there are.
        names: of those wanted.
        key: the config key that names them, for the error.

    Raises:
        ValueError: there is no feature map of a name.
    """
    missing = [name for name in names if name not in shapes]
    if missing:
        raise ValueError(f"{key} names {missing[0]!r}, but the feature maps are {', '.join(shapes)}")
    return [shapes[name] for name in names]
