"""Fixtures that several modules of tests share."""

import os
import time

import pytest
import recipe_runs
from embedded import launch


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
