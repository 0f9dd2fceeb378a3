"""Roles and pairs come from hashes of weights; groups from the conditions of measurement."""

import pytest
from report_runs import CONDITIONS, cost_rows, experiment, trained, write_run

from handan.errors import UserError
from handan.report.comparison import read_comparison


def arms_of(runs):
    return {arm.name: arm for arm in read_comparison(runs).main.arms}


def test_roles_are_derived_from_weights(tmp_path):
    arms = arms_of(experiment(tmp_path))
    assert {name: arm.kind for name, arm in arms.items()} == {
        "base": "base",
        "teacher": "teacher",
        "sft": "student",
        "grpo": "trained",
        "sft_own": "control",
    }
    assert (arms["sft"].base, arms["sft"].teacher) == ("base", "teacher")
    assert (arms["sft_own"].base, arms["sft_own"].teacher) == ("base", "grpo")
    assert arms["teacher"].base is None


def test_roles_do_not_depend_on_names_or_order(tmp_path):
    rows = {arm: cost_rows(arm, 0.5, num_items=20) for arm in ("x", "y", "z")}
    student = trained("sft_distill") | {"teacher": {"arm": "?", "model_fingerprint": "y weights"}}
    runs = [
        write_run(tmp_path / "z", rows["z"], training=student, start="x weights"),
        write_run(tmp_path / "y", rows["y"]),
        write_run(tmp_path / "x", rows["x"]),
    ]
    kinds = {name: arm.kind for name, arm in arms_of(runs).items()}
    assert kinds == {"x": "base", "y": "teacher", "z": "student"}


def test_a_student_of_its_own_samples_has_scores_and_no_traces(tmp_path):
    opd = trained("on_policy_distill")
    opd["teacher"] = {"arm": "y", "model_fingerprint": "y weights"}
    runs = [
        write_run(tmp_path / "x", cost_rows("x", 0.5, num_items=20)),
        write_run(
            tmp_path / "opd", cost_rows("opd", 0.5, num_items=20), training=opd, start="x weights"
        ),
    ]
    arm = arms_of(runs)["opd"]
    assert arm.role == "student: on-policy distillation from x with scores of y"


def test_a_teacher_that_was_not_evaluated_is_named(tmp_path):
    runs = [run for run in experiment(tmp_path) if run.name != "teacher"]
    sft = arms_of(runs)["sft"]
    assert sft.teacher is None
    assert "traces of teacher" in sft.role


def test_a_shared_base_is_known_by_its_weights_even_if_it_was_not_evaluated(tmp_path):
    runs = [run for run in experiment(tmp_path) if run.name != "base"]
    group = read_comparison(runs).main
    kinds = {arm.name: arm.kind for arm in group.arms}
    assert kinds == {
        "teacher": "teacher",
        "sft": "student",
        "grpo": "trained",
        "sft_own": "control",
    }
    assert ("sft", "grpo") in {(row["a"], row["b"]) for row in group.result["contrasts"]}


def test_contrasts_are_with_teacher_base_and_trained_arm_also_at_zero(tmp_path):
    group = read_comparison(experiment(tmp_path)).main
    pairs = {(row["a"], row["b"]) for row in group.result["contrasts"]}
    warm = {(a, b) for a, b in pairs if "(T=0)" not in a}
    assert warm == {
        ("sft", "teacher"),
        ("sft", "base"),
        ("sft", "grpo"),
        ("grpo", "base"),
        ("grpo", "teacher"),
        ("sft_own", "grpo"),
        ("sft_own", "base"),
    }
    assert pairs - warm == {(f"{a} (T=0)", f"{b} (T=0)") for a, b in warm}


def test_unrelated_models_are_contrasted_all_with_all(tmp_path):
    runs = [
        write_run(tmp_path / arm, cost_rows(arm, 0.5, num_items=20)) for arm in ("m1", "m2", "m3")
    ]
    group = read_comparison(runs).main
    assert {arm.kind for arm in group.arms} == {"model"}
    warm = {(r["a"], r["b"]) for r in group.result["contrasts"] if "(T=0)" not in r["a"]}
    assert warm == {("m1", "m2"), ("m1", "m3"), ("m2", "m3")}


def test_runs_under_other_conditions_form_a_group_of_their_own(tmp_path):
    other = CONDITIONS | {"suite": "flat", "suite_hash": "another"}
    runs = [
        write_run(
            tmp_path / "base_flat", cost_rows("base_flat", 0.1, num_items=20), conditions=other
        ),
        *experiment(tmp_path),
    ]
    study = read_comparison(runs)
    assert [len(group.arms) for group in study.groups] == [5, 1]
    assert study.main.conditions["suite"] == "toy"
    named = {name for row in study.alignment()["contrasts"] for name in (row["a"], row["b"])}
    assert "base_flat" not in named
    assert "base_flat" in study.alignment()["models"]


def test_another_backend_is_another_condition(tmp_path):
    runs = [
        write_run(tmp_path / "a", cost_rows("a", 0.5, num_items=20)),
        write_run(
            tmp_path / "b",
            cost_rows("b", 0.5, num_items=20),
            conditions=CONDITIONS | {"backend": "vllm"},
        ),
    ]
    study = read_comparison(runs)
    assert len(study.groups) == 2
    assert study.alignment()["contrasts"] == []


def test_the_same_name_in_two_groups_is_an_error(tmp_path):
    rows = cost_rows("a", 0.5, num_items=20)
    runs = [
        write_run(tmp_path / "one", rows, arm="a"),
        write_run(tmp_path / "two", rows, arm="a", conditions=CONDITIONS | {"samples": 9}),
    ]
    with pytest.raises(UserError, match="both have a model named 'a'; rename"):
        read_comparison(runs)
