import numpy as np
import pytest

from detectron2.utils.colormap import colormap, random_color, random_colors


@pytest.mark.parametrize("maximum", [1, 255])
def test_colormap_colours_are_distinct_and_in_range(maximum):
    colors = colormap(rgb=True, maximum=maximum)
    assert colors.shape == (80, 3) and colors.dtype == np.float32
    assert colors.min() >= 0 and colors.max() <= maximum
    assert len({tuple(c) for c in colors.tolist()}) == 80


def test_bgr_is_rgb_reversed():
    np.testing.assert_array_equal(colormap(rgb=False), colormap(rgb=True)[:, ::-1])


def test_random_colors_do_not_repeat_and_come_from_the_map():
    known = {tuple(c) for c in colormap(rgb=True, maximum=1).tolist()}
    drawn = [tuple(c.tolist()) for c in random_colors(80, rgb=True, maximum=1)]
    assert set(drawn) == known
    assert tuple(random_color(rgb=True, maximum=1).tolist()) in known


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="at most 80"):
        random_colors(81)
    with pytest.raises(ValueError, match="255 or 1"):
        colormap(maximum=3)
