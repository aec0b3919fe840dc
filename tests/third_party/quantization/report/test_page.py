"""The page: numbers, names that look like markup, sections that are left out."""

import dataclasses
import math
import re

import pytest

from third_party.quantization.report import ApRow, ApTable, Latency, PicturePair, Report, Sizes, render, write_html
from third_party.quantization.report.html.sections import SECTIONS, anchor

from .page_text import Page
from .samples import NASTY, full_report

_PARTS = {
    "Accuracy": ("accuracy", "classes"),
    "Confidence shift": ("confidence",),
    "Sizes": ("sizes",),
    "Latency": ("latencies",),
    "Noise and ranges": ("sqnr", "ranges", "histograms"),
    "Sensitivity": ("sensitivity", "search"),
    "Calibration audit": ("audit",),
    "Checks": ("parity", "findings"),
    "Pictures": ("pictures",),
    "Layers": ("layers",),
}


@pytest.fixture(scope="module")
def page():
    return Page(render(full_report()))


def test_numbers_are_in_the_tables(page):
    boxes = page.tables["Boxes, bccd_val, 73 images"]
    assert boxes == [
        ["Model", "AP", "AP50", "APs", "Change of AP"],
        ["float", "61.37", "88.12", "–", "–"],
        ["quantized", "60.98", "87.91", "–", "−0.39"],
        ["onnxruntime", "58.25", "87.90", "12.50", "−3.12"],
    ]
    assert page.tables["AP of each class, those that lose most first"][1:] == [
        ["Platelets", "40.00", "37.25", "−2.75"],
        [NASTY, "71.23", "70.01", "−1.22"],
        ["RBC & WBC", "50.50", "–", "–"],
    ]
    assert page.tables["Thresholds that give the same precision"][1] == (
        ["0.50", "91.0 %", "88.5 %", "0.537", "+0.037", "80.0 %", "79.0 %"]
    )
    assert ["model.onnx", "generic", "828,335", "808.92 KiB"] in page.tables["Sizes"]
    assert page.tables["Latency, throughput, memory"][3][:6] == ["onnxruntime", "int8", "model", "1", "60.1", "66.0"]
    assert page.tables["Signal to quantization noise"][-1] == ["exact", "input", "∞"]
    assert page.tables["Ranges of activations"][2] == ["dead", "", "–", "–", "–", ""]
    assert page.tables["AP after calibration on other images"][-1] == ["noise", "59.33"]


def test_figures_at_the_top(page):
    top = page.text.split("Accuracy")[0].replace("\xa0", " ")
    assert all(text in top for text in ("61.37", "60.98", "−0.39 against float", "25.8 %", "1.68 ×", "1 of 2"))
    assert f"{101.24 / 60.12:.2f}" == "1.68" and f"{569176 / 2207968:.1%}" == "25.8%"


def test_nothing_of_a_name_becomes_markup(page):
    assert page.text.count(NASTY) > 10 and page.unclosed == []
    assert page.count("script") == 1
    source = render(full_report())
    assert "<script>alert" not in source and "&lt;script&gt;alert(&#x27;a &amp; &quot;b&quot;&#x27;)" in source
    attributes = [value for _, found in page.tags for value in found.values() if value and "alert" in value]
    assert attributes and all(NASTY in value for value in attributes)


def test_characters_that_pages_cannot_hold():
    page = Page(render(Report(title="a\x00b\x1bc\ud800d")))
    assert page.text.count("a\ufffdb\ufffdc\ufffdd") == 2


def test_nothing_comes_from_elsewhere(page):
    addresses = [v for _, found in page.tags for k, v in found.items() if k in ("src", "href", "data", "srcset")]
    assert addresses and all(v.startswith(("#", "data:image/png;base64,")) for v in addresses)
    source = render(full_report())
    assert not re.search(r"https?:|url\(|@import|<link", source)
    policies = [found["content"] for tag, found in page.tags if found.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1 and policies[0].startswith("default-src 'none'")


def test_tables_and_charts_have_names(page):
    assert page.count("table") == len(page.tables) and all(page.tables)
    assert page.count("th", scope="col") == sum(len(rows[0]) for rows in page.tables.values())
    assert page.count("th", scope="row") == sum(len(rows) - 1 for rows in page.tables.values())
    charts = [found for tag, found in page.tags if tag == "svg"]
    assert len(charts) > 20 and all(found["role"] == "img" and found["aria-label"] for found in charts)
    assert all(found["alt"] for tag, found in page.tags if tag == "img")
    identities = [found["id"] for _, found in page.tags if "id" in found]
    assert len(set(identities)) == len(identities)
    links = [found["href"][1:] for tag, found in page.tags if tag == "a"]
    assert links == [anchor(title) for title in SECTIONS] and set(links) <= set(identities)


def test_no_place_in_a_drawing_is_missing(page):
    numbers = ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height")
    places = [
        float(value)
        for tag, found in page.tags
        if tag in ("rect", "line", "circle", "text")
        for name, value in found.items()
        if name in numbers
    ]
    paths = [found["d"] for tag, found in page.tags if tag == "path"]
    places += [float(number) for path in paths for number in re.findall(r"-?[\d.]+", path)]
    assert len(places) > 1000 and all(math.isfinite(place) and -1 <= place < 2000 for place in places)
    assert not any("nan" in path or "inf" in path for path in paths)


@pytest.mark.parametrize("title", SECTIONS)
def test_a_section_alone_and_left_out(title):
    names = _PARTS[title]
    whole = full_report()
    alone = Report(title="t", **{name: getattr(whole, name) for name in names})
    page = Page(render(alone))
    assert page.count("section") == page.count("section", id=anchor(title)) == 1 and page.unclosed == []
    empty = {name: field.default for field in dataclasses.fields(Report) for name in [field.name] if name in names}
    without = Page(render(dataclasses.replace(whole, **empty)))
    assert without.count("section", id=anchor(title)) == 0 and without.count("section", id="warnings") == 1


def test_an_empty_report():
    page = Page(render(Report(title="nothing yet")))
    assert page.count("section") == page.count("nav") == page.count("table") == 0 and "nothing yet" in page.text
    assert Page(render(Report(title="t", sizes=Sizes()))).count("section") == 0


def test_figures_that_are_all_unknown():
    nothing = ApTable((ApRow("float", {"AP": math.nan}), ApRow("quantized", {"AP": None})))
    report = Report(title="t", accuracy=(nothing,), latencies=(Latency("e", "int8"), Latency("e", "float32")))
    page = Page(render(report))
    assert "nan" not in page.text.lower() and page.unclosed == []


def test_the_file_is_whole_or_not_there(tmp_path):
    path = write_html(Report(title="ä"), tmp_path / "a" / "report.html")
    before = path.read_text(encoding="utf-8")
    assert before == render(Report(title="ä"))
    with pytest.raises(ValueError, match="PNG"):
        write_html(Report(title="b", pictures=(PicturePair("c", b"no", b"no"),)), path)
    assert path.read_text(encoding="utf-8") == before and [file.name for file in path.parent.iterdir()] == [path.name]
