"""Fixtures that several modules of tests share."""

import os
import shutil
import time

import pytest
import recipe_runs
from embedded import launch
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Prompts, a probe suite and traces that are small enough for tests."""
    # One folder for all test workers, made by whoever comes first.
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "small"
    try:
        folder.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 300
        while not (folder / "ready").exists():
            assert time.monotonic() < deadline, f"{folder} was never completed"
            time.sleep(0.5)
        return folder
    recipe_runs.prepare(folder)
    (folder / "ready").touch()
    return folder


@pytest.fixture(scope="session")
def trained(small):
    """The recipes run once, uninterrupted, through accelerate launch."""

    def run(recipe):
        folder = small / f"whole_{recipe}"
        # A finished run is left alone.
        launch("cpu", *recipe_runs.arguments(recipe, small, folder))
        return folder

    return run


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")


@pytest.fixture(scope="module")
def browser():
    """A browser to look at pages with."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser to look at the page with: none of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=[*QUIET])
        yield running
        running.close()
