"""Fixtures that several modules of tests share."""

import fcntl
import os
import shutil
from functools import partial

import pytest
import recipe_runs
from embedded import launch, run_script, small_suite

# Modules of runs that take longest, so that no worker is left with one of them at the end.
LONGEST = ("along", "trackers", "recipes", "faults", "zoo_run", "launch", "evaluate", "server")
LONGEST += ("families", "checkpoints", "hostile_text", "wandb_report", "report_traces")
ORDER = {f"test_{name}": place for place, name in enumerate(LONGEST)}


def pytest_configure():
    """One thread a process, as in ``make test``; before anything imports torch."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: ORDER.get(item.path.stem, len(ORDER)))


def once(made, make):
    """Make a file, and what is beside it, for all test workers: whoever comes first."""
    made.parent.mkdir(exist_ok=True)
    with open(made.parent.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make()
    return made.parent


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Prompts, a probe suite and traces that are small enough for tests."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "small"

    def make():
        recipe_runs.prepare(folder)
        (folder / "ready").touch()

    return once(folder / "ready", make)


@pytest.fixture(scope="session")
def trained(small):
    """The recipes run once, uninterrupted; supervised fine-tuning through accelerate launch."""

    def run(recipe):
        made = small / f"whole_{recipe}" / "model.safetensors"
        words = recipe_runs.arguments(recipe, small, made.parent)
        start = partial(launch, "cpu") if recipe == "sft_distill" else run_script
        return once(made, lambda: start(*words))

    return run


@pytest.fixture(scope="session")
def full_suite(small):
    """Words of a recipe that measures a full suite too, and the probe at log-spaced steps."""
    folder = small / "full"
    more = {"name": "full", "items_per_task": 20, "samples": 1, "greedy": True}
    once(folder / "suite.yaml", lambda: small_suite(folder, **more))
    return ["--full_suite", folder / "suite.yaml", "--probe_log_spaced", "3"]


@pytest.fixture(scope="session")
def measured(small, full_suite):
    """The recipes with all there is to measure."""

    def run(recipe):
        made = small / f"measured_{recipe}" / "model.safetensors"
        words = recipe_runs.arguments(recipe, small, made.parent, *full_suite)
        return once(made, lambda: run_script(*words))

    return run


@pytest.fixture(scope="session")
def two_ranks(small, full_suite):
    """The same on two processes, as far as the time for measuring allows; GRPO's are new."""

    def run(recipe):
        made = small / f"two_ranks_{recipe}" / "model.safetensors"
        more = [*recipe_runs.of_two_ranks(recipe), *full_suite, "--probe_time_share", "0.9"]
        words = recipe_runs.arguments(recipe, small, made.parent, *more)
        engine = recipe_runs.TWO_RANKS[recipe]
        return once(made, lambda: launch(engine, *words, forks=recipe != "grpo"))

    return run


PATIENCE_MS = 120_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")


@pytest.fixture(scope="module")
def browser():
    """A browser to look at pages with."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser to look at the page with: none of {', '.join(BROWSERS)}")
    from playwright.sync_api import expect, sync_playwright  # not where vLLM is tested

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=found, args=[*QUIET], timeout=PATIENCE_MS
        )
        # For as long as a busy machine may take; the defaults are 30 s and 5 s.
        context = running.new_context
        running.new_context = lambda **more: patient(context(**more))
        page = running.new_page
        running.new_page = lambda **more: patient(page(**more))
        expect.set_options(timeout=PATIENCE_MS)
        yield running
        running.close()


def patient(opened):
    """A page or context whose actions may take their time."""
    opened.set_default_timeout(PATIENCE_MS)
    return opened
