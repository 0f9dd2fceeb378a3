"""Every claim of the study with every outcome, on runs whose truth is known; words keep to their
intervals."""

import re

import numpy as np
import pytest
from report_runs import cost_rows, experiment, trained, write_run

from handan.formatting import MINUS
from handan.report.comparison import read_comparison
from handan.report.summary import along_training, confounds, summary
from handan.report.verdicts import SLOPE_BOUND, claims, judged, missing

ARMS = ("cold", "base", "teacher", "sft", "grpo", "sft_own")


def study_of(folder, *, without=(), everywhere=None, **costs):
    """The runs of ``experiment`` and 'cold', which its teacher was trained from.

    ``everywhere`` are arguments of ``cost_rows`` for all arms, ``costs`` for single ones.
    """
    costs = {arm: {"greedy": False, **(everywhere or {}), **costs.get(arm, {})} for arm in ARMS}
    cold = cost_rows("cold", **{"r": 0.6, **costs["cold"]})
    runs = [
        write_run(folder / "cold", cold, weights="somewhere else"),
        *experiment(folder, **costs),
    ]
    return read_comparison([run for run in runs if run.name not in without])


def claim_of(study, about, *arms):
    return next(
        claim
        for claim in claims(study.main)
        if claim.about == about and claim.arms[: len(arms)] == arms
    )


CONTRASTS = {
    "teacher-base": ("teacher", "cold"),
    "student-teacher": ("sft", "teacher"),
    "student-base": ("sft", "base"),
    "trained-base": ("grpo", "base"),
    "trained-teacher": ("grpo", "teacher"),
    "student-trained": ("sft", "grpo"),
}


@pytest.mark.parametrize(
    ("levels", "tone", "said"),
    [
        ((0.95, 0.6, 0.8, 0.0, 0.3), "lower", "less closely than"),
        ((-0.3, 0.2, 0.35, 0.9, 0.6), "higher", "more closely than"),
        ((0.6, 0.6, 0.6, 0.6, 0.6), "same", "to within ±.1."),
    ],
)
def test_every_contrast_says_lower_higher_or_preserved(tmp_path, levels, tone, said):
    """A teacher who is not above the base has nothing of its own that could collapse."""
    costs = {arm: {"r": r} for arm, r in zip(ARMS, levels, strict=False)}
    study = study_of(tmp_path, **costs)
    for about, arms in CONTRASTS.items():
        claim = claim_of(study, about)
        assert claim.arms == arms
        untestable = about == "student-teacher" and tone == "same"
        assert claim.tone == ("open" if untestable else tone), about
        assert (claim.label == "not testable here") == untestable, about
        assert said in claim.statement
        assert claim.evidence.count("[") >= 1 and "n = 240 items" in claim.evidence


def test_a_wide_interval_is_open_and_says_what_could_have_been_shown(tmp_path):
    study = study_of(tmp_path, everywhere={"num_items": 14, "noise": 0.9})
    for about in CONTRASTS:
        claim = claim_of(study, about)
        assert claim.tone == "open"
        assert claim.statement.startswith("These items do not tell whether")
        assert re.match(r"Power: with these 28 items, a difference of \.\d\d is", claim.power)
    assert re.search(r"r of \.5\d is told from 0 in 80.% ", claim_of(study, "teacher").power)


def test_too_few_items_for_an_interval_make_no_claim(tmp_path):
    study = study_of(tmp_path, everywhere={"num_items": 5})
    for about in CONTRASTS:
        claim = claim_of(study, about)
        assert (claim.tone, claim.label) == ("open", "no verdict")
        assert "5 items; a correlation needs 12" in claim.statement
    assert "multiplier" not in {claim.about for claim in claims(study.main)}
    assert claim_of(study, "teacher").label == "no verdict"


def test_power_is_that_of_the_pair(tmp_path):
    """Arms that are all but equal need fewer items than arms that are noisy."""
    study = study_of(tmp_path, everywhere={"num_items": 60}, base={"noise": 1.5})
    found = {}
    for about in ("trained-teacher", "trained-base"):
        claim = claim_of(study, about)
        found[about] = int(re.search(r"in (\d+).% of studies\.$", claim.power).group(1))
    assert found["trained-teacher"] > found["trained-base"]


# -- words against intervals ---------------------------------------------------------------------


def test_no_word_says_more_than_its_interval(tmp_path):
    """Whatever the interval, tone, statement and signs follow from it alone."""
    study = study_of(tmp_path, everywhere={"num_items": 20})
    group = study.main
    row = group.contrast("sft", "base")
    generator = np.random.default_rng(5)
    seen = set()
    for _ in range(300):
        centre, half = generator.normal(0, 0.15), generator.uniform(0.005, 0.3)
        row |= {
            "difference": centre,
            "ci": [centre - half, centre + half],
            "ci90": [centre - 0.83 * half, centre + 0.83 * half],
            "p_holm": float(generator.uniform(0, 0.1)),
        }
        claim = claim_of(study, "student-base")
        low, high = row["ci"]
        inside = row["ci90"][0] > -0.1 and row["ci90"][1] < 0.1
        expected = "lower" if high < 0 else "higher" if low > 0 else "same" if inside else "open"
        seen.add(claim.tone)
        assert claim.tone == expected
        said = re.search(r"(?<!more or )(less|more) closely than", claim.statement)
        assert (said and said.group(1)) == {"lower": "less", "higher": "more"}.get(expected)
        assert ("negative transfer" in claim.label) == (high < 0 and not inside)
        assert ("not after correction" in claim.label) == (
            expected in ("lower", "higher") and row["p_holm"] >= 0.05
        )
        shown = re.search(rf"difference ({MINUS}?)([.\d]+)", claim.evidence)
        if float(shown.group(2)):
            assert (shown.group(1) == MINUS) == (centre < 0)
    assert seen == {"lower", "higher", "same", "open"}


def test_no_slope_is_said_to_be_more_than_its_interval():
    generator = np.random.default_rng(6)
    seen = set()
    for _ in range(500):
        b, half = generator.normal(1, 0.2), generator.uniform(0.005, 0.4)
        label, tone, statement = judged((b - half, b + half), (1.9, 2.1))
        seen.add(tone)
        near = b - half > 1 - SLOPE_BOUND and b + half < 1 + SLOPE_BOUND
        holds_one = b - half <= 1 <= b + half
        assert label.startswith("yes") == near
        assert ("is not 1" in label) == (near and not holds_one)
        assert label.startswith("no,") == (not near and not holds_one)
        assert (tone == "open") == (holds_one and not near)
        if label.startswith("no,"):
            assert ("below 1" in label) == (b < 1) == ("is smaller" in statement)
    assert seen == {"same", "open", "lower", "higher"}


def test_simulated_truths_are_never_contradicted(tmp_path):
    """Random r, noise and number of items: a claimed direction is the true one."""
    generator = np.random.default_rng(7)
    for place in range(6):
        levels = generator.uniform(-0.8, 0.8, size=3)
        settings = {
            "noise": generator.uniform(0.05, 1.0),
            "num_items": int(generator.integers(8, 90)),
        }
        costs = {
            arm: {"r": float(r), "greedy": False} | settings
            for arm, r in zip(("base", "teacher", "sft"), levels, strict=True)
        }
        runs = experiment(tmp_path / str(place), **costs)[:3]
        truth = dict(zip(("base", "teacher", "sft"), levels, strict=True))
        for claim in claims(read_comparison(runs).main):
            if claim.about in ("student-base", "student-teacher") and claim.tone != "open":
                a, b = (truth[arm] for arm in claim.arms)
                if claim.tone == "lower":
                    assert a < b + 0.1
                elif claim.tone == "higher":
                    assert a > b - 0.1
                else:
                    assert abs(a - b) < 0.25


# -- negative r ----------------------------------------------------------------------------------


def test_a_pair_of_reversed_arms_is_not_said_to_follow_people(tmp_path):
    study = study_of(tmp_path, base={"r": -0.6}, sft={"r": -0.6})
    claim = claim_of(study, "student-base")
    assert (claim.tone, claim.label) == ("open", "not testable here")
    assert "to within ±.1" in claim.statement
    for noun in ("The SFT student", "The base model"):
        assert any(note.startswith(f"{noun} is reversed, r = {MINUS}.") for note in claim.notes)
    assert f"against {MINUS}." in claim.evidence


def test_an_arm_without_alignment_has_nothing_to_lose(tmp_path):
    study = study_of(tmp_path, base={"r": 0.0}, sft={"r": 0.0})
    notes = claim_of(study, "student-base").notes
    assert any("itself is not shown to follow human time" in note for note in notes)


# -- constant multiplier -------------------------------------------------------------------------


def multiplied(folder, change, noise=0.05, num_items=120):
    """Base and student; ``change`` takes tokens of an arm like the base to the student's."""
    base = cost_rows("base", 0.6, noise=noise, num_items=num_items)
    student = [
        row | {"reasoning_tokens": round(change(row["reasoning_tokens"]))}
        for row in cost_rows("sft", 0.6, noise=noise, num_items=num_items)
    ]
    runs = [
        write_run(folder / "base", base),
        write_run(
            folder / "sft",
            student,
            training=trained("sft_distill", "teacher"),
            start="base weights",
        ),
    ]
    return claim_of(read_comparison(runs), "multiplier")


def test_an_exact_multiple_is_called_one_with_its_factor(tmp_path):
    claim = multiplied(tmp_path, lambda tokens: 2.5 * tokens)
    assert claim.label == "yes, b is within ±.1 of 1"
    assert re.search(r"k = 2\.(49|50|51) \[2\.\d\d, 2\.5\d\]", claim.evidence)
    assert "n = 240 items" in claim.evidence
    assert claim.power is None


def test_a_multiple_of_one_is_not_called_inflation(tmp_path):
    claim = multiplied(tmp_path, lambda tokens: tokens)
    assert claim.label == "not testable here"
    assert "writes about as much as its base" in claim.statement


@pytest.mark.parametrize(
    ("power", "tone", "said"), [(0.5, "lower", "is smaller."), (1.5, "higher", "is larger.")]
)
def test_another_slope_is_no_constant_multiple(tmp_path, power, tone, said):
    # 2.5 times as long at the middle of the base's lengths, so that there is an inflation.
    claim = multiplied(tmp_path, lambda tokens: 2.5 * 600 * (tokens / 600) ** power)
    assert claim.tone == tone
    assert claim.statement.endswith(said)


def test_a_wide_interval_of_the_slope_is_open_and_says_how_wide(tmp_path):
    """The student is a multiple, with lengths of its own: a dozen items do not show it."""
    generator = np.random.default_rng(3)
    claim = multiplied(
        tmp_path, lambda tokens: 2 * tokens * np.exp(0.5 * generator.normal()), num_items=12
    )
    assert claim.tone == "open"
    assert claim.label.startswith("no evidence either way")
    assert re.match(r"Precision: the interval of b is \d?\.\d\d wide", claim.power)


def test_sampling_noise_does_not_pass_for_a_slope_below_one(tmp_path):
    """Both arms have the same true lengths with much noise: least squares would find b near .7."""
    study = study_of(tmp_path, base={"noise": 0.6}, grpo={"noise": 0.6})
    claim = claim_of(study, "multiplier", "grpo")
    assert not claim.label.startswith("no,")
    fit = next(
        of
        for of in study.main.result["inflation"]
        if (of["student"], of["base"], of["task"]) == ("grpo", "base", None)
    )
    assert fit["b_ci"][1] < 1


# -- what a claim requires -----------------------------------------------------------------------


@pytest.mark.parametrize(("teacher", "testable"), [(0.8, True), (0.55, False), (0.2, False)])
def test_a_collapse_needs_a_teacher_above_the_base(tmp_path, teacher, testable):
    study = study_of(tmp_path, base={"r": 0.6}, teacher={"r": teacher}, sft={"r": -0.2})
    claim = claim_of(study, "student-teacher")
    assert claim.label == ("collapse" if testable else "not testable here")
    assert claim.tone == ("lower" if testable else "open")
    assert "less closely than" in claim.statement  # the comparison itself stands
    assert ("where .10 is required; so this is not testable" in claim.notes[0]) == (not testable)


def test_a_collapse_without_the_base_is_not_known_to_be_testable(tmp_path):
    study = study_of(tmp_path, without=["base"], teacher={"r": 0.8}, sft={"r": 0.0})
    claim = claim_of(study, "student-teacher")
    assert claim.label == "not testable here"
    assert "the model it was trained from (not known) is not known" in claim.notes[0]


@pytest.mark.parametrize(
    ("base", "label"), [(0.5, "negative transfer"), (0.0, "not testable here")]
)
def test_negative_transfer_needs_something_to_lose(tmp_path, base, label):
    study = study_of(tmp_path, base={"r": base}, sft={"r": -0.5})
    assert claim_of(study, "student-base").label == label


@pytest.mark.parametrize(("factor", "testable"), [(1.4, False), (1.6, True)])
def test_inflation_needs_lengths_that_grew(tmp_path, factor, testable):
    claim = multiplied(tmp_path, lambda tokens: factor * tokens)
    assert (claim.label == "not testable here") == (not testable)
    said = f"The SFT student writes {factor:.2f} ("
    assert claim.notes[0].startswith(said) == (not testable)


# -- what applies to a pair ----------------------------------------------------------------------


def keys(claim):
    return {confound.key for confound in claim.confounds}


def test_a_confound_is_named_only_at_the_claims_of_its_arm(tmp_path):
    study = study_of(
        tmp_path,
        grpo={"cap_rate": 0.2},
        sft={"accuracy": 0.4},
        base={"noise": 1.2},
    )
    for claim in claims(study.main):
        if claim.about == "multiplier":
            continue
        assert ("cap" in keys(claim)) == ("grpo" in claim.arms)
        assert ("accuracy" in keys(claim)) == ("sft" in claim.arms)
        assert ("noise" in keys(claim)) == ("base" in claim.arms)
        assert "format" in keys(claim)
        assert not {"direct", "counting", "budget"} & keys(claim)
    cap = next(of.short for of in claim_of(study, "trained-base").confounds if of.key == "cap")
    assert re.search(
        r"grpo \d\d.% on alpha and grpo \d\d.% on beta of answers reached the cap", cap
    )


def test_every_confound_of_a_claim_has_a_longer_text(tmp_path):
    study = study_of(tmp_path, grpo={"cap_rate": 0.2, "accuracy": 0.2}, base={"noise": 1.2})
    explained = {check.key for check in confounds(study)}
    assert all(keys(claim) <= explained for claim in claims(study.main))


def test_unequal_budgets_are_named_at_that_pair(tmp_path):
    plans = {
        "base": (None, None),
        "sft": (trained("sft_distill", "teacher", teacher_generated_tokens=0), "base weights"),
        "grpo": (trained("grpo", trained_tokens=3000, peak_memory_gib=9.0), "base weights"),
    }
    runs = [
        write_run(tmp_path / arm, cost_rows(arm, 0.6, num_items=40), training=plan, start=start)
        for arm, (plan, start) in plans.items()
    ]
    study = read_comparison(runs)
    (budget,) = (of for of in claim_of(study, "student-trained").confounds if of.key == "budget")
    assert "sft had 0.33 times the trained tokens of grpo" in budget.text
    assert "memory" not in budget.text
    assert "budget" not in keys(claim_of(study, "student-base"))
    wide = claims(study.main, tolerance=5.0)
    assert not any("budget" in keys(claim) for claim in wide)


# -- missing arms --------------------------------------------------------------------------------


def questions(study):
    return dict(missing(study.main))


def test_nothing_is_missing_where_every_arm_was_evaluated(tmp_path):
    assert not questions(study_of(tmp_path))


@pytest.mark.parametrize(
    ("without", "question", "answer"),
    [
        (
            ["grpo", "sft_own"],
            "Does reinforcement learning keep the alignment it began with?",
            "train one with handan train grpo",
        ),
        (
            ["teacher"],
            "Does the teacher spend tokens where people spend time?",
            "The teacher teacher",
        ),
        (
            ["base"],
            "Does imitation leave a model below where it began?",
            "The model that sft began with was not evaluated",
        ),
        (
            ["base", "cold"],
            "Is it the model it was trained from, times a constant?",
            "No arm's base was evaluated",
        ),
        (
            ["sft"],
            "Does imitation leave a model below where it began?",
            "with handan train sft",
        ),
    ],
)
def test_a_missing_arm_is_named_with_the_run_that_would_answer(tmp_path, without, question, answer):
    asked = questions(study_of(tmp_path, without=without, everywhere={"num_items": 20}))
    assert answer in asked[question]
    assert asked[question].count(". ") == 0


# -- the course of training ----------------------------------------------------------------------


def course_text(folder, *means, half=0.1, **more):
    """What is said of an arm probed at steps 0, 10, 20, ... with these means."""
    metrics = [
        {
            "step": 10 * place,
            "alignment/mean_r_loglog": mean,
            "alignment/mean_r_loglog_ci_low": mean - half,
            "alignment/mean_r_loglog_ci_high": mean + half,
        }
        | more
        for place, mean in enumerate(means)
    ]
    run = write_run(
        folder / "arm",
        cost_rows("arm", 0.5, num_items=10, greedy=False),
        metrics=metrics,
        training=trained("grpo"),
    )
    ((arm, text),) = along_training(read_comparison([run]).main.arms)
    assert arm == "arm"
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_a_rise_needs_intervals_that_do_not_overlap(tmp_path):
    rose = course_text(tmp_path / "a", 0.2, 0.3, 0.5)
    assert "from .20 [.10, .30] at step 0 to .50 [.40, .60] at step 20; it rose" in rose
    assert "On the way" not in rose
    same = course_text(tmp_path / "b", 0.2, 0.5, 0.39)
    assert "does not show that it changed" in same and "On the way" not in same


def test_a_fall_below_zero_is_said_to_end_reversed(tmp_path):
    text = course_text(tmp_path, 0.4, -0.2)
    assert f"to {MINUS}.20 [{MINUS}.30, {MINUS}.10] at step 10; it fell" in text
    assert "It ends reversed" in text


def test_a_peak_or_a_dip_is_named_only_beyond_both_ends(tmp_path):
    assert "it peaked at step 10 with .70" in course_text(tmp_path / "a", 0.2, 0.7, 0.3)
    dip = course_text(tmp_path / "b", 0.5, 0.5, 0.1, 0.45)
    assert "it fell to .10 [.00, .20] at step 20, below both ends" in dip
    assert "On the way" not in course_text(tmp_path / "c", 0.2, 0.45, 0.5)


def test_a_course_without_intervals_shows_no_change(tmp_path):
    metrics = [{"step": step, "alignment/mean_r_loglog": r} for step, r in ((0, 0.1), (5, 0.9))]
    rows = cost_rows("arm", 0.5, num_items=10, greedy=False)
    run = write_run(tmp_path / "arm", rows, metrics=metrics, training=trained("grpo"))
    ((_, text),) = along_training(read_comparison([run]).main.arms)
    assert "without intervals that shows no change" in text


def test_the_time_spent_measuring_is_told(tmp_path):
    assert "Measuring took 25 % of its time." in course_text(
        tmp_path / "a", 0.2, 0.3, **{"budget/probe_share": 0.25}
    )
    assert "Measuring" not in course_text(tmp_path / "b", 0.2, 0.3)


def test_the_summary_stays_short(tmp_path):
    study = study_of(tmp_path, teacher={"r": -0.5}, sft={"r": -0.5}, grpo={"r": -0.6})
    said = summary(study.main)
    assert len(said) <= 6
    assert sum("Reversed" in text for text in said) == 1
