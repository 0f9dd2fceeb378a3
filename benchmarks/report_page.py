"""The report of 5,000 samples in a real browser: how large it is, and how soon it can be read.

    python benchmarks/report_page.py

Five arms answer 100 items of each of two tasks five times, in about 1,000 characters; four of
the arms have a course of training. The page is opened in Chromium from disk several times. Seconds
count from navigation: 'text' is the first paint of words, 'loaded' the load event, from when on
everything can be read and filtered, 'chart' the first chart, where the address names their section;
the target is for loading.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from tabulate import tabulate

from handan.files import append_jsonl
from handan.report.page import write

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from report_runs import cost_rows, trained, write_run
from test_report import probes

ITEMS_A_TASK, SAMPLES, TRACE_WORDS = 100, 5, 200
ARMS = ("base", "teacher", "sft", "grpo", "sft_own")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
TARGET_S = 2.0
HEADERS = ("samples", "page, MB", "made, s", "text, s", "loaded, s", "chart, s", "target, s")
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
READABLE = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
WATCH = """new MutationObserver(() => {
  if (document.querySelector('.chart svg')) window.firstChart ??= performance.now();
}).observe(document, { childList: true, subtree: true });"""


def write_runs(folder: Path) -> list[Path]:
    """Run directories of the arms with costs, responses and probes."""
    runs = []
    for arm in ARMS:
        rows = cost_rows(arm, 0.5, num_items=ITEMS_A_TASK, num_samples=SAMPLES, greedy=False)
        words = f"{arm} adds the next two digits and carries what is left over ".split()
        text = f"<think>{' '.join((words * TRACE_WORDS)[:TRACE_WORDS])}</think> the answer"
        generations = [
            {key: row[key] for key in ("task", "item", "sample", "reasoning_tokens", "status")}
            | {"correct": row["correct"], "text": f"{row['item']} {row['sample']}: {text}"}
            for row in rows
        ]
        training = trained("grpo") if arm != "base" else None
        start = "base weights" if arm != "base" else None
        run_dir = write_run(
            folder / arm, rows, training=training, start=start, generations=generations
        )
        if training:
            append_jsonl(run_dir / "metrics.jsonl", probes(range(0, 101, 10)))
        runs.append(run_dir)
    return runs


def measured(browser: Browser, address: str) -> tuple[float, float, float]:
    """Seconds from navigation to the first text, to the load event, and to the first chart."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.add_init_script(WATCH)
    page.goto(f"{address}#scatter&")
    page.wait_for_selector("#scatter .chart svg")
    readable, loaded = (float(page.evaluate(moment)) for moment in (READABLE, LOADED))
    first_chart = float(page.evaluate("firstChart / 1000"))
    page.close()
    return readable, loaded, first_chart


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        print(f"not measured: no browser to open the page with, none of {', '.join(BROWSERS)}")
        return
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        runs, output = write_runs(Path(folder)), Path(folder) / "report.html"
        started = time.monotonic()
        write(runs, output)
        built = time.monotonic() - started
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        times = [measured(browser, output.as_uri()) for _ in range(repeats)]
        browser.close()
        medians = [statistics.median(of_kind) for of_kind in zip(*times, strict=True)]
        samples = len(ARMS) * 2 * ITEMS_A_TASK * SAMPLES
        print(
            tabulate(
                [[samples, output.stat().st_size / 1e6, built, *medians, TARGET_S]],
                headers=HEADERS,
                floatfmt=".2f",
            )
        )


if __name__ == "__main__":
    main()
