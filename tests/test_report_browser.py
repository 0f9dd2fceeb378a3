"""The page in a real browser: it loads without a message and fits a phone.

The page is shown in frames of 360 and 1440 pixels; a script around it, not in it, measures.
"""

import html
import re
import shutil
import subprocess

import pytest
from report_runs import experiment
from test_report import probes

from handan import report
from handan.records import append_jsonl

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--v=0"),
)
MEASURE = """
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument.documentElement;
    const loaded = frame.contentWindow.performance.getEntriesByType("resource").length;
    return [frame.width, page.scrollWidth, loaded, page.querySelectorAll("svg").length].join(" ");
  });
  document.getElementById("measured").textContent = found.join(", ");
});
"""


@pytest.fixture
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser to look at the page with: none of {', '.join(BROWSERS)}")
    return found


def test_the_page_fits_a_phone_and_says_nothing_to_the_console(browser, tmp_path):
    runs = experiment(tmp_path)
    append_jsonl(tmp_path / "grpo" / "metrics.jsonl", probes())
    report.write(runs, tmp_path / "out" / "report.html")
    page = html.escape((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    # Every part is opened, so that hidden tables are measured, too.
    page = page.replace("&lt;details&gt;", "&lt;details open&gt;")
    frames = "".join(
        f'<iframe width="{width}" height="800" frameborder="0" srcdoc="{page}"></iframe>'
        for width in (360, 1440)
    )
    around = tmp_path / "around.html"
    around.write_text(
        f'<!doctype html><meta charset="utf-8"><pre id="measured"></pre>{frames}'
        f"<script>{MEASURE}</script>",
        encoding="utf-8",
    )
    command = [browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [*command, around.as_uri()], capture_output=True, text=True, check=True, timeout=60
    )
    found = re.search(r'<pre id="measured">(.*?)</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    measured = [tuple(map(int, part.split())) for part in found[1].split(", ")]
    assert [part[0] for part in measured] == [360, 1440]
    for width, scroll_width, loaded, num_figures in measured:
        assert scroll_width <= width
        assert loaded == 0
        assert num_figures == 20
    messages = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert messages == []
