"""Well separated colours for drawing instances and classes."""

import colorsys
import functools

import numpy as np

__all__ = ["colormap", "random_color", "random_colors"]

NUM_COLORS = 80
# Steps of the golden angle keep any prefix of the hue sequence evenly spread.
GOLDEN_STEP = (5**0.5 - 1) / 2


@functools.cache
def _palette() -> np.ndarray:
    """RGB colours in 0..1, shape (NUM_COLORS, 3); hue by golden steps, three levels of saturation and value."""
    shades = ((0.85, 0.95), (0.60, 0.85), (1.00, 0.65))
    colors = [colorsys.hsv_to_rgb((i * GOLDEN_STEP) % 1.0, *shades[i % len(shades)]) for i in range(NUM_COLORS)]
    return np.array(colors, dtype=np.float32)


def _scaled(colors: np.ndarray, rgb: bool, maximum: int) -> np.ndarray:
    if maximum not in (1, 255):
        raise ValueError(f"maximum must be 255 or 1, not {maximum!r}")
    colors = colors if rgb else colors[..., ::-1]
    return np.ascontiguousarray(colors) * maximum


def colormap(rgb: bool = False, maximum: int = 255) -> np.ndarray:
    """A fixed list of distinct colours.

    Args:
        rgb: channel order RGB if true, else BGR.
        maximum: 255 or 1, the value of full intensity.

    Returns:
        float32 array of shape (80, 3).
    """
    return _scaled(_palette(), rgb, maximum)


def random_color(rgb: bool = False, maximum: int = 255) -> np.ndarray:
    """One colour drawn from :func:`colormap`, shape (3,)."""
    return colormap(rgb, maximum)[np.random.randint(NUM_COLORS)]


def random_colors(N: int, rgb: bool = False, maximum: int = 255) -> list[np.ndarray]:
    """``N`` colours drawn from :func:`colormap` without repetition.

    Raises:
        ValueError: if ``N`` is larger than the number of colours.
    """
    if N > NUM_COLORS:
        raise ValueError(f"random_colors: at most {NUM_COLORS} distinct colours, {N} asked for")
    chosen = np.random.permutation(NUM_COLORS)[:N]
    return list(colormap(rgb, maximum)[chosen])
