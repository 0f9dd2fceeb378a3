"""The mixed model beside r: crossed people and items, covariates, and what tokens add."""

import numpy as np
import pytest
from simulated import study
from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

from handan.alignment.align import align
from handan.alignment.mixed import reml
from handan.alignment.participants import Participants
from handan.alignment.tables import alignment_text
from handan.norms.trials import Trial

PARTS = ("effects", "errors")


def crossed(seed, b=0.3, num_people=12, num_items=20):
    """Log times of people on items, unbalanced, with a slope on x and one on the order."""
    generator = np.random.default_rng(seed)
    people, items = (of.ravel() for of in np.indices((num_people, num_items)))
    kept = generator.random(len(people)) < 0.7
    people, items = people[kept], items[kept]
    x, order = generator.normal(size=num_items), generator.permutation(len(people)) / len(people)
    own = 0.4 * generator.normal(size=num_people)[people]
    of_items = 0.25 * generator.normal(size=num_items)[items]
    y = 1 + b * x[items] - order + own + of_items
    y += 0.5 * generator.normal(size=len(y))
    design = np.column_stack([np.ones(len(y)), order - order.mean(), x[items]])
    return y, design, people, items, x


def test_the_fit_is_that_of_statsmodels():
    y, design, people, items, _ = crossed(0, num_people=20, num_items=30)
    names = [[[f"{of.sum()}-{number}" for number in range(of.max() + 1)]] for of in (people, items)]
    members = [[np.eye(of.max() + 1)[of]] for of in (people, items)]
    parts = VCSpec(["people", "items"], names, members)
    oracle = MixedLM(y, design, groups=np.ones(len(y)), exog_vc=parts).fit(reml=True)
    fit = reml(y, design, [people, items])
    assert fit.effects == pytest.approx(oracle.fe_params, abs=1e-5)
    assert fit.errors[1:] == pytest.approx(oracle.bse_fe[1:], rel=5e-3)
    assert fit.of_groups == pytest.approx(np.sqrt(oracle.vcomp), rel=1e-3)
    assert fit.residual == pytest.approx(np.sqrt(oracle.scale), rel=1e-3)


def test_without_groups_it_is_least_squares():
    y, design, *_ = crossed(1)
    effects, squares, *_ = np.linalg.lstsq(design, y, rcond=None)
    fit = reml(y, design, [])
    assert fit.effects == pytest.approx(effects)
    assert fit.residual == pytest.approx(np.sqrt(squares[0] / (len(y) - 3)))


def test_a_slope_is_found_and_its_error_is_right():
    fits = [reml(y, design, [p, i]) for y, design, p, i, _ in map(crossed, range(60))]
    slopes, errors = (
        np.array([of[-1] for of in part]) for part in list(zip(*fits, strict=True))[:2]
    )
    assert slopes.mean() == pytest.approx(0.3, abs=3 * slopes.std() / np.sqrt(60))
    assert errors.mean() == pytest.approx(slopes.std(), rel=0.3)
    # As if trials were independent, the error would be too small.
    alone = [reml(y, design, []).errors[-1] for y, design, *_ in map(crossed, range(20))]
    assert np.mean(alone) < 0.8 * errors.mean()


def row_of(rows, **more):
    found = align(rows, bootstrap=500, mixed=True, **more)
    return found["mixed"][0], found


def test_means_of_items_have_a_slope_and_what_tokens_add_where_they_are_not_seen():
    rows = study({"m": 0.8}, num_items=60)
    for place, row in enumerate(rows):
        row["prompt_tokens"] = 10 + place // 2 % 7
    of, found = row_of(rows)
    assert of["covariates"] == ["prompt tokens"]
    assert of["trials"] is of["sd_items"] is None and of["n"] == 60
    assert of["b_ci"][0] < of["b"] < of["b_ci"][1] and of["b"] > 0 and of["p"] < 1e-6
    r = found["models"]["m"]["tasks"]["alpha"]["r_loglog"]
    assert of["delta_r2"] == pytest.approx(r * r, abs=0.1)
    assert "Mixed model: log response time" in alignment_text(found)
    noise, _ = row_of(study({"m": 0.0}, num_items=60))
    assert noise["delta_r2"] < 0.05  # and below 0 where tokens mislead


def test_a_reversed_model_has_a_negative_slope():
    of, _ = row_of(study({"m": -0.8}, num_items=40))
    assert of["b"] < 0 and of["delta_r2"] > 0.2


def test_trials_bring_people_items_and_order():
    rows = study({"m": 0.7}, num_items=30)
    generator = np.random.default_rng(0)
    times = {row["item"]: row["human_rt_s"] for row in rows}
    trials = [
        Trial(f"p{p}", item, time * float(generator.lognormal(0.1 * p, 0.3)), None, order)
        for p in range(8)
        for order, (item, time) in enumerate(times.items())
    ]
    people = {"alpha": Participants.of_trials(trials)}
    of, _ = row_of(rows, participants=people)
    assert (of["trials"], of["participants"], of["n"]) == (240, 8, 30)
    assert of["covariates"] == ["trial order"]
    assert of["sd_participants"] == pytest.approx(0.245, rel=0.4)
    assert of["sd_residual"] == pytest.approx(0.3, rel=0.15)


def test_it_is_made_only_when_it_is_asked_for():
    assert align(study({"m": 0.5}), bootstrap=100)["mixed"] == []
    assert align(study({"m": 0.5}, num_items=8), bootstrap=100, mixed=True)["mixed"] == []
