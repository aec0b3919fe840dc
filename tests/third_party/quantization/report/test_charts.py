"""Places in charts against what they should be by hand."""

import math

import pytest

from third_party.quantization.report import Histogram
from third_party.quantization.report.html.charts import Bars, bar_chart, column_chart, curve_chart, histogram_chart
from third_party.quantization.report.html.charts.scales import Scale, extent, nice_step
from third_party.quantization.report.html.numbers import fixed, percent, short, size
from third_party.quantization.report.model import Curve

from .page_text import Page


def _of(markup, tag, class_):
    return [found for name, found in Page(markup).tags if name == tag and (found.get("class") or "").startswith(class_)]


def test_scales():
    scale = Scale(-1.0, 3.0, 100.0, 500.0)
    assert [scale(v) for v in (-1, 0, 3, 9)] == [100, 200, 500, 500]
    assert Scale(1.0, 64.0, 0.0, 6.0, log=True)(8.0) == pytest.approx(3.0)
    assert Scale(0.0, 1.0, 0, 1).ticks(5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert [nice_step(v) for v in (0.013, 0.2, 3, 7, 0)] == pytest.approx([0.02, 0.2, 5, 10, 1])
    assert extent([2.0, math.nan, None, 5.0]) == (2.0, 5.0) and extent([2.0], zero=True) == (0.0, 2.0)
    assert extent([]) == (0.0, 1.0) and extent([0.0], zero=True) == (0.0, 0.5) and extent([4.0]) == (3.5, 4.5)


def test_numbers():
    assert [fixed(v, 2, signed=True) for v in (1.005e3, -0.001, 0.0, None)] == ["+1,005.00", "0.00", "0.00", "–"]
    assert [fixed(math.inf), fixed(-math.inf), percent(0.12345), short(-1.23456e-7)] == [
        "∞",
        "−∞",
        "12.3\xa0%",
        "−1.235e−07",
    ]
    assert [size(v) for v in (12, 2048, 3 * 2**20, 5 * 2**30)] == [
        "12\xa0B",
        "2.00\xa0KiB",
        "3.00\xa0MiB",
        "5.00\xa0GiB",
    ]


def test_bars_are_as_long_as_their_values():
    bars = _of(bar_chart("t", [Bars("a", (2.0, -1.0)), Bars("b", (4.0, None))], ("s", "t")), "rect", "bar")
    widths = [float(bar["width"]) for bar in bars]
    assert widths == pytest.approx([2 * widths[1], widths[1], 4 * widths[1]], rel=1e-4)
    right, left = float(bars[0]["x"]), float(bars[1]["x"]) + widths[1]
    assert right == pytest.approx(left, abs=0.01)


def test_columns_are_as_high_as_their_values():
    drawn = column_chart("t", list("abc"), [10.0, None, 30.0], unit="dB", axis="x", marked=[2])
    (usual,), (marked,) = _of(drawn, "rect", "bar s1"), _of(drawn, "rect", "bar marked")
    assert float(marked["height"]) == pytest.approx(3 * float(usual["height"]), rel=1e-4)


def test_the_range_lies_where_it_should_over_the_bins():
    drawn = histogram_chart(Histogram("x", -2.0, 0.5, (0, 1, 9, 99, 99, 9, 1, 0), bottom=-1.0, top=1.5))
    bottom, top = (float(found["x1"]) for found in _of(drawn, "line", "range"))
    (area,) = _of(drawn, "path", "area")
    points = [tuple(map(float, point.split())) for point in area["d"].strip("MZ").split("L")]
    begin, end = points[0][0], points[-1][0]
    assert (bottom - begin) / (end - begin) == pytest.approx(1 / 4, abs=1e-3)
    assert (top - begin) / (end - begin) == pytest.approx(3.5 / 4, abs=1e-3)
    heights = [points[0][1] - points[1 + 2 * index][1] for index in range(8)]
    assert [height / heights[3] for height in heights[:3]] == pytest.approx(
        [0.0, math.log(2) / math.log(100), math.log(10) / math.log(100)], abs=1e-3
    )
    with pytest.raises(ValueError, match="width is 0"):
        Histogram("x", 0.0, 0.0, ())


def test_curves_have_gaps_where_figures_are_missing():
    curve = Curve("a", (0.0, 1.0, 2.0, 3.0, 4.0), (1.0, 2.0, math.nan, 2.0, 1.0))
    paths = _of(curve_chart("t", [curve], across="x", upward="y", points=[(2.0, 1.5)]), "path", "line")
    assert [path["d"].count("L") for path in paths] == [1, 1]
