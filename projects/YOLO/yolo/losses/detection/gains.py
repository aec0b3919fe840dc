"""Gains of the anchor-based recipes for a number of levels and classes and a size of image."""


def scaled_gains(
    box: float, obj: float, cls: float, *, levels: int, num_classes: int, image_size: int
) -> dict[str, float]:
    """Carry gains, tuned for 3 levels, 80 classes and 640 pixels, over to another model.

    ``box 3/L``, ``obj (image_size / 640)^2 3/L``, ``cls K/80 3/L``.

    Args:
        box: gain of the overlap term in the recipe.
        obj: gain of the objectness term in the recipe.
        cls: gain of the class term in the recipe.
        levels: L.
        num_classes: K.
        image_size: side of the training image in pixels.

    Returns:
        "box_gain", "obj_gain" and "cls_gain", as ``AnchorDetectionLoss`` takes them.
    """
    per_level = 3 / levels
    return {
        "box_gain": box * per_level,
        "obj_gain": obj * (image_size / 640) ** 2 * per_level,
        "cls_gain": cls * num_classes / 80 * per_level,
    }
