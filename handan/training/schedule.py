"""At which steps a run is measured."""

from typing import Any

import numpy as np

from handan.errors import UserError

# Settings of a recipe that say when it measures; they may change when a run goes on.
SCHEDULE = ("probe_steps", "probe_log_spaced", "full_suite_steps", "probe_time_share")


def measured_steps(max_steps: int, every: int, log_spaced: int = 0) -> list[int]:
    """Steps at which a suite is measured, in order: 0, the last one, and those between.

    Args:
        max_steps: steps of the training.
        every: a step between is measured if it is a multiple of this; 0: none is.
        log_spaced: number of steps from 1 to ``max_steps`` whose logarithms are evenly spaced,
            each rounded to a whole step; those that fall on one step are measured once.
    """
    steps = {0, max_steps}
    if every:
        steps.update(range(0, max_steps, every))
    if log_spaced and max_steps:
        steps.update(round(step) for step in np.geomspace(1, max_steps, log_spaced).tolist())
    return sorted(steps)


def check_schedule(recipe: Any) -> None:
    """Stop if the settings that say when a run is measured make no sense.

    Args:
        recipe: a recipe's arguments, with ``full_suite`` and the keys of ``SCHEDULE``.

    Raises:
        UserError: names the key and what it may be.
    """
    for key in ("probe_steps", "probe_log_spaced", "full_suite_steps"):
        if getattr(recipe, key) < 0:
            raise UserError(f"{key} is {getattr(recipe, key)}; give a number from 0 on")
    if recipe.full_suite_steps and recipe.full_suite is None:
        raise UserError("full_suite_steps is set, but no suite is; set full_suite to its YAML")
    share = recipe.probe_time_share
    measured = recipe.probe_steps or recipe.probe_log_spaced or recipe.full_suite
    if share is not None and not measured:
        raise UserError("probe_time_share is set, but nothing is measured; set probe_steps")
    if share is not None and not 0 < share <= 1:
        raise UserError(f"probe_time_share is {share:g}; give a share of the time from 0 to 1")
