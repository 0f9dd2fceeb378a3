"""Where the published trials lie, for the tests that need them."""

import os
from pathlib import Path

import pytest

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "human"
TRIALS = Path(os.environ.get("HANDAN_HUMAN_TRIALS", DEFAULT))

needs_trials = pytest.mark.skipif(
    not TRIALS.is_dir(),
    reason=f"no human trials in {TRIALS}; set HANDAN_HUMAN_TRIALS to the folder that holds them",
)
