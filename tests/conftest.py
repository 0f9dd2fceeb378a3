"""What several test files share: small inputs of recipes, and runs of them."""

import os
import time

import pytest
import yaml
from embedded import SUITES, launch, small_suite
from recipe_runs import PROMPTS, arguments, traces


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
    (folder / "prompts.yaml").write_text(PROMPTS)
    human = yaml.safe_load((SUITES / "tiny_probe.yaml").read_text())["tasks"]
    small_suite(folder, tasks=human, greedy=False)
    traces(folder, folder / "traces")
    (folder / "ready").touch()
    return folder


@pytest.fixture(scope="session")
def trained(small):
    """A recipe run once, uninterrupted, through accelerate launch."""

    def run(recipe):
        folder = small / f"whole_{recipe}"
        if not (folder / "model.safetensors").exists():
            launch("cpu", *arguments(recipe, small, folder))
        return folder

    return run
