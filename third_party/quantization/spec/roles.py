"""What a quantizer quantizes."""

import enum


class Role(enum.Enum):
    """A layer's weight, or an activation: a tensor that differs from image to image."""

    WEIGHT = "weight"
    ACTIVATION = "activation"
