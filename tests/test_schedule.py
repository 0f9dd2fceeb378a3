import itertools
from types import SimpleNamespace

import pytest

from handan.errors import UserError
from handan.evaluation.evaluate import SCHEDULE
from handan.training.settings import check_schedule, measured_steps


@pytest.mark.parametrize(
    ("max_steps", "every", "log_spaced", "steps"),
    [
        (10, 0, 0, [0, 10]),
        (10, 4, 0, [0, 4, 8, 10]),
        (10, 5, 0, [0, 5, 10]),
        (3, 10, 0, [0, 3]),
        (1000, 0, 4, [0, 1, 10, 100, 1000]),
        (1000, 0, 1, [0, 1, 1000]),
        (100, 50, 3, [0, 1, 10, 50, 100]),
        (4, 0, 7, [0, 1, 2, 3, 4]),  # several points on one step
        (1, 1, 3, [0, 1]),
        (0, 5, 3, [0]),
    ],
)
def test_the_first_and_the_last_step_are_measured_and_what_is_asked_for(
    max_steps, every, log_spaced, steps
):
    assert measured_steps(max_steps, every, log_spaced) == steps


def test_log_spaced_steps_have_a_constant_ratio():
    steps = measured_steps(100_000, 0, 26)[1:]
    ratios = [later / earlier for earlier, later in itertools.pairwise(steps[8:])]
    assert max(ratios) / min(ratios) < 1.05  # the first ones are rounded too much to tell


SENSIBLE = {"full_suite": "suite.yaml", "probe_time_share": 0.2}


def settings(**changed):
    return SimpleNamespace(**{**dict.fromkeys(SCHEDULE, 0), **SENSIBLE, **changed})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probe_steps": -1}, "probe_steps is -1; give a number from 0 on"),
        ({"probe_log_spaced": -2}, "probe_log_spaced is -2"),
        ({"full_suite_steps": -3}, "full_suite_steps is -3"),
        ({"full_suite_steps": 5, "full_suite": None}, "set full_suite to its YAML"),
        ({"full_suite": None}, "probe_time_share is set, but nothing is measured; set probe_ste"),
        ({"probe_time_share": 0.0}, "probe_time_share is 0; give a share"),
        ({"probe_time_share": 1.5}, "probe_time_share is 1.5"),
        ({"probe_time_share": float("nan")}, "probe_time_share is nan"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(change, message):
    check_schedule(settings())
    check_schedule(settings(probe_time_share=None))
    with pytest.raises(UserError, match=message):
        check_schedule(settings(**change))
