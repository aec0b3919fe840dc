"""The page in a real browser."""

import re
import shutil
import subprocess

import pytest

from third_party.quantization.report import render

from .samples import full_report

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_BROWSER = next((found for name in _NAMES if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(_BROWSER is None, reason=f"no browser here: none of {', '.join(_NAMES)}")

_SORT = """<script>
const headings = [...document.querySelector("table").tHead.rows[0].cells];
headings[3].querySelector("button").click();
document.documentElement.dataset.order = [...document.querySelector("tbody").rows].map(r => r.cells[0].textContent);
dispatchEvent(new Event("beforeprint"));
document.documentElement.dataset.folded = document.querySelectorAll("details:not([open])").length;
const place = document.querySelector("#latency svg .bar").getBoundingClientRect();
document.documentElement.dataset.drawn = place.width > 20 && place.height > 3;
const colours = new Set([...document.querySelectorAll("svg .bar, svg .area")].map(e => getComputedStyle(e).fill));
document.documentElement.dataset.coloured = colours.size > 1 && !colours.has("rgb(0, 0, 0)");
document.documentElement.dataset.pictures = [...document.images].every(i => i.complete && i.naturalWidth === 320);
</script></body>"""


def _run(folder, page, *options):
    """Standard output, and what the page wrote to the console."""
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    command = [_BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=5000"]
    done = subprocess.run([*command, *options, file.as_uri()], capture_output=True, text=True, timeout=180, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_no_error_and_charts_are_drawn(tmp_path):
    page = render(full_report()).replace("</body>", _SORT)
    drawn, console = _run(tmp_path, page, "--dump-dom")
    assert console == []
    (root,) = re.findall(r"<html [^>]*>", drawn)
    found = dict(re.findall(r'data-(\w+)="([^"]*)"', root))
    assert found["ready"] == found["drawn"] == found["coloured"] == found["pictures"] == "true", found
    assert int(found["charts"]) == page.count("<svg") > 20
    assert found["order"] == "onnxruntime,float,quantized", "sorted by APs, rows without a figure last"
    assert found["folded"] == "0", "what is folded is open on paper"


def test_an_error_would_be_seen(tmp_path):
    broken = (
        render(full_report()).replace('"use strict";', "missing();").replace("</body>", "<img src='https://x.y/z'>")
    )
    drawn, console = _run(tmp_path, broken, "--dump-dom")
    assert any("missing is not defined" in line for line in console) and "data-ready" not in drawn
    assert any("Content Security Policy" in line for line in console)


def test_on_paper(tmp_path):
    _, console = _run(tmp_path, render(full_report()), f"--print-to-pdf={tmp_path / 'report.pdf'}")
    content = (tmp_path / "report.pdf").read_bytes()
    assert console == [] and content.startswith(b"%PDF") and b"%%EOF" in content[-16:]
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 5
