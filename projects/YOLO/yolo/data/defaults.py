"""Keys of ``INPUT.YOLO`` with their default values, which are those of YOLOv5's and YOLOv8's recipes.

``INPUT.FORMAT`` and ``MODEL.MASK_ON`` count too. Numbers of pixels are those of the network's input.
"""

from typing import Any

__all__ = ["INPUT_YOLO"]

INPUT_YOLO: dict[str, Any] = {
    "SIZE": [640, 640],  # height, width
    "STRIDE": 32,  # sizes are multiples of it
    "CENTER_PADDING": True,  # False pads on the right and at the bottom
    "FILL": 114.0,  # value around and between images
    "FLIP_HORIZONTAL": 0.5,  # probabilities
    "FLIP_VERTICAL": 0.0,
    "HSV": [0.015, 0.7, 0.4],  # largest changes of hue, saturation and value
    "MOSAIC": 1.0,  # probability
    "CLOSE_MOSAIC": 0,  # so many last iterations without mosaic, mix-up and copy-paste
    "MIXUP": {
        "PROBABILITY": 0.0,
        "BETA": 32.0,  # 0: equal weights
        "PARTNER": "composed",  # made like the first image; or "image", a single one
        "SCALE": [1.0, 1.0],  # smallest and largest factor on the size of an "image", which is shifted as others are
    },
    "COPY_PASTE": {"SHARE": 0.0, "MAX_COVER": 0.3},
    "PERSPECTIVE": {
        "DEGREES": 0.0,
        "TRANSLATE": 0.1,
        "SCALE": [0.5, 1.5],
        "SHEAR": 0.0,
        "COEFFICIENT": 0.0,  # 1 / pixel, at most 0.001
        "SINGLE_IMAGES": True,  # also warp images that are no mosaic
    },
    "BOX_FILTER": {"MIN_SIDE": 2.0, "MAX_ASPECT": 100.0, "MIN_VISIBLE": 0.1},
    "MULTI_SCALE": {"ENABLED": False, "RATIOS": [0.5, 1.5], "PERIOD": 10},
}
