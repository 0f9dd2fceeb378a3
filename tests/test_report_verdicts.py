"""What the page says follows the numbers."""

import re

import pytest
from report_runs import cost_rows, experiment, trained, write_run

from handan.report.comparison import read_comparison
from handan.report.summary import confounds, summary
from handan.report.verdicts import claims


def told(folder, **costs):
    """Claims by what they are about, and the confounds that apply, as one text."""
    study = read_comparison(experiment(folder, **costs))
    found = {claim.about: claim for claim in claims(study.main)}
    applying = {check.title: check.text for check in confounds(study) if check.applies}
    return found, applying, " ".join(summary(study.main))


def test_collapse_is_claimed_when_the_student_is_lower(tmp_path):
    found, _, text = told(tmp_path, teacher={"r": 0.8}, base={"r": 0.6}, sft={"r": 0.1})
    claim = found["student-teacher"]
    assert claim.label == "collapse"
    assert claim.tone == "lower"
    assert claim.statement == "The SFT student follows human time less closely than the teacher."
    assert found["student-base"].label == "negative transfer"
    assert "lower for the SFT student" in text


def test_preserved_is_claimed_when_the_interval_is_inside_the_bound(tmp_path):
    found, _, text = told(tmp_path, base={"r": 0.5}, teacher={"r": 0.65}, sft={"r": 0.65})
    claim = found["student-teacher"]
    assert claim.label == "preserved within ±.1"
    assert "to within ±.1" in claim.statement
    assert "90 % interval" in claim.evidence
    found, _, text = told(tmp_path / "again")
    assert found["student-base"].label == "preserved within ±.1"
    assert "the same within ±.1 for the SFT student" in text


def test_no_evidence_is_claimed_when_the_interval_is_wide(tmp_path):
    few = {"num_items": 14, "noise": 0.9}
    arms = dict.fromkeys(("base", "teacher", "sft", "grpo", "sft_own"), few)
    found, _, _ = told(tmp_path, **arms)
    claim = found["student-base"]
    assert claim.label.startswith("no evidence either way")
    assert claim.statement.startswith("These items do not tell whether")
    assert claim.tone == "open"


def test_higher_is_claimed_for_reinforcement_learning_alone(tmp_path):
    found, _, _ = told(tmp_path, base={"r": 0.3}, grpo={"r": 0.8})
    assert found["trained-base"].label == "higher"
    assert found["trained-base"].question == "Does GRPO keep the alignment it began with?"
    assert found["student-trained"].label == "lower"


def test_a_trained_model_below_its_base_is_not_called_negative_transfer(tmp_path):
    found, _, _ = told(tmp_path, base={"r": 0.8}, grpo={"r": 0.2})
    assert found["trained-base"].label == "lower"


def test_unequal_accuracy_qualifies_the_verdict(tmp_path):
    found, applying, _ = told(
        tmp_path, teacher={"r": 0.8}, sft={"r": 0.1, "accuracy": 0.3}, base={"r": 0.6}
    )
    claim = found["student-teacher"]
    assert claim.label == "collapse, with unequal accuracy"
    accuracy = next(of.short for of in claim.confounds if of.key == "accuracy")
    assert re.search(r"Unequal accuracy: .*sft 3\d.% against teacher (8|9)\d.%\.$", accuracy)
    assert "a weaker model is another explanation" in applying["Unequal accuracy"]


def test_accuracy_that_is_unknown_is_said(tmp_path):
    runs = []
    for arm in ("a", "b"):
        rows = [row | {"correct": None} for row in cost_rows(arm, 0.5)]
        runs.append(write_run(tmp_path / arm, rows))
    (claim,) = claims(read_comparison(runs).main)
    assert claim.confounds[0].key == "accuracy"
    assert "unknown for a against b" in claim.confounds[0].short
    assert "a weaker model is another explanation" in claim.confounds[0].text
    assert ", accuracy unknown" in claim.label


def test_a_difference_that_is_gone_without_sampling_is_said(tmp_path):
    found, applying, _ = told(
        tmp_path,
        base={"r": 0.8, "noise": 1.2, "cold_r": 0.8},
        grpo={"r": 0.8, "noise": 0.05, "cold_r": 0.8},
    )
    claim = found["trained-base"]
    assert claim.label == "higher; at T = 0: preserved within ±.1"
    assert any("comes with sampling and is gone without it" in note for note in claim.notes)
    assert "grpo against base .00" in applying["Sampling noise"]


def test_a_difference_that_stays_without_sampling_is_said(tmp_path):
    found, _, _ = told(tmp_path, base={"r": 0.2}, grpo={"r": 0.8})
    notes = " ".join(found["trained-base"].notes)
    assert "so sampling noise alone does not explain it" in notes


def test_a_negative_r_is_called_reversed_and_keeps_its_sign(tmp_path):
    found, _, text = told(tmp_path, teacher={"r": -0.6}, sft={"r": -0.6})
    assert found["teacher"].label == "reversed, r below 0"
    assert "spends less where people take longer" in found["teacher"].statement
    assert "r over 2 tasks \N{MINUS SIGN}." in found["teacher"].evidence
    assert (
        "Reversed, with fewer tokens where people take longer: the teacher, r = \N{MINUS SIGN}."
        in text
    )


def test_a_teacher_around_zero_is_no_evidence(tmp_path):
    found, _, _ = told(tmp_path, teacher={"r": 0.0})
    assert found["teacher"].label == "no evidence either way"


def test_length_without_competence_is_named(tmp_path):
    _, applying, _ = told(tmp_path, sft_own={"r": 0.7, "accuracy": 0.05})
    assert "sft_own answers" in applying["Length without competence"]
    _, applying, _ = told(tmp_path / "again")
    assert "Length without competence" not in applying


def test_the_cap_is_named_only_above_one_percent(tmp_path):
    _, applying, _ = told(tmp_path, sft={"cap_rate": 0.2})
    assert "cap of 64 tokens" in applying["Answers cut at the token cap"]
    _, applying, _ = told(tmp_path / "again")
    assert "Answers cut at the token cap" not in applying


def test_unequal_budgets_name_the_measure(tmp_path):
    runs = []
    for arm, training in (
        ("base", None),
        ("sft", trained("sft_distill", "teacher", trained_tokens=500)),
        ("grpo", trained("grpo", trained_tokens=1000)),
    ):
        start = "base weights" if training else None
        runs.append(write_run(tmp_path / arm, cost_rows(arm, 0.5), training=training, start=start))
    checks = {check.title: check for check in confounds(read_comparison(runs))}
    check = checks["Unequal budgets"]
    assert check.applies
    assert "sft had 0.50 times the trained tokens of grpo" in check.text
    assert "(generated tokens, model FLOPs and device-seconds unknown)" in check.text


def test_the_format_is_named_as_an_explanation(tmp_path):
    _, applying, text = told(tmp_path)
    assert "flawless traces in 'steps' alone have r = " in applying["The trace format"]
    assert "not discovered" in text


def test_control_is_contrasted_with_its_own_teacher(tmp_path):
    found, _, _ = told(tmp_path, grpo={"r": 0.8}, sft_own={"r": 0.3})
    assert found["control"].label == "lower"
    assert found["control"].between == "The SFT control sft_own against the GRPO model"


@pytest.mark.parametrize("about", ["teacher", "student-teacher", "student-base"])
def test_every_claim_has_effect_interval_and_n(tmp_path, about):
    found, _, _ = told(tmp_path)
    evidence = found[about].evidence
    assert "n = 240 items" in evidence
    assert "[" in evidence


def test_a_verdict_that_does_not_survive_correction_says_so(tmp_path):
    group = read_comparison(experiment(tmp_path, sft={"r": 0.1})).main
    assert all("correction" not in claim.label for claim in claims(group))
    for row in group.result["contrasts"]:
        row["p_holm"] = 0.2 if row["mean"] == "human" else None
    labels = {claim.about: claim.label for claim in claims(group)}
    assert labels["student-base"] == "negative transfer, not after correction"
    assert "correction" not in labels["control"]


def test_costs_that_are_not_counted_on_ids_of_a_span_are_named(tmp_path):
    ways = {
        "ids": {"counted_by": "token_ids"},
        "served": {"counted_by": "retokenized"},
        "instruct": {"counted_by": "token_ids", "cost_rule": "response"},
    }
    runs = [
        write_run(tmp_path / arm, [row | way for row in cost_rows(arm, 0.5, num_items=20)])
        for arm, way in ways.items()
    ]
    checks = {check.title: check for check in confounds(read_comparison(runs))}
    text = checks["How costs were counted"].text
    assert "served on its text, tokenised again" in text
    assert "the cost of instruct is the whole response" in text
    alone = {check.title: check for check in confounds(read_comparison(runs[:1]))}
    assert not alone["How costs were counted"].applies
