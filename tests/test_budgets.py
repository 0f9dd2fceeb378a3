"""What led to an arm's weights, and whether two arms had the same of it."""

import json
from types import SimpleNamespace

import pytest
from report_runs import cost_rows, trained, write_run

from handan import budgets
from handan.cli import command
from handan.evaluation.resource_estimate import Size
from handan.files import read_json, write_json
from handan.launch import SINGLE
from handan.training.ledger import Ledger

KNOWN = {"generated_tokens": 200, "model_flops": 5e9, "peak_memory_gib": 1.0}


NO_TEACHER = dict.fromkeys(budgets.TEACHERS.values(), 0)


def run_of(**budget):
    return {"arm": "x", "training": trained("grpo", **{**KNOWN, **NO_TEACHER, **budget})}


def test_an_untrained_model_has_no_budget():
    assert budgets.total({"arm": "base"}) is None
    assert budgets.compare(("a", {}), ("b", run_of()), 0.1) is None


def test_the_teachers_part_counts_for_who_learns_from_it():
    teacher = {"teacher_generated_tokens": 1000, "teacher_flops": 1e9}
    total = budgets.total(run_of(**teacher, teacher_device_seconds=5))
    assert total["generated_tokens"] == 1200
    assert total["model_flops"] == 6e9
    assert total["device_seconds"] == 15
    unknown = budgets.total(run_of(teacher_flops=None))
    assert unknown["model_flops"] is None
    assert unknown["trained_tokens"] == 1000
    not_recorded = budgets.total({"training": trained("sft_distill")})
    assert not_recorded["device_seconds"] is None


def test_a_sequence_counts_all_its_trainings():
    first = {**run_of(teacher_generated_tokens=50, peak_memory_gib=3.0)["training"]}
    second = run_of()
    second["training"]["started_from"] = {**first, "began_with": "base"}
    total = budgets.total(second)
    assert total["trained_tokens"] == 2000 and total["device_seconds"] == 20
    assert total["generated_tokens"] == 450
    assert total["peak_memory_gib"] == 3.0
    assert budgets.root(second["training"], "sft") == "base"
    assert budgets.root(first, "base") == "base"
    third = run_of()
    third["training"]["started_from"] = {**second["training"], "began_with": "sft"}
    assert budgets.total(third)["trained_tokens"] == 3000
    assert budgets.root(third["training"], "sft_grpo") == "base"


def test_traces_that_were_changed_afterwards_are_not_what_was_counted(tmp_path):
    made = {"generated_tokens": 7, "model_flops": 1.0, "device_seconds": 2.0}
    content = {"traces": {"traces_sha256": "right", "budget": made}}
    write_json(tmp_path / "run.json", content)
    found = budgets.of_traces(tmp_path / "traces.jsonl", "right")
    assert found == {
        "teacher_generated_tokens": 7,
        "teacher_flops": 1.0,
        "teacher_device_seconds": 2.0,
    }
    assert set(budgets.of_traces(tmp_path / "traces.jsonl", "other").values()) == {None}
    assert set(budgets.of_traces(tmp_path / "elsewhere" / "t.jsonl", "right").values()) == {None}


def test_within_tolerance_is_the_same_from_both_sides():
    def verdict(a, b):
        pair = budgets.compare(
            ("a", run_of(trained_tokens=a)), ("b", run_of(trained_tokens=b)), 0.1
        )
        return pair["measures"][0]["within"]

    assert verdict(110, 100) and verdict(100, 110) and verdict(0, 0)
    assert verdict(111, 100) is verdict(100, 111) is verdict(0, 1) is False


def test_the_sentence_names_each_measure_once():
    b = run_of(model_flops=1e9, peak_memory_gib=None)
    pair = budgets.compare(("a", run_of(model_flops=2.3e9)), ("b", b), 0.1)
    assert pair["sentence"] == (
        "Budgets of a and b: matched within 10 % on trained tokens, generated tokens (with the "
        "teacher's), device-seconds (with the teacher's); not on model FLOPs (with the teacher's) "
        "(a used 2.3 times b's); unknown: peak memory."
    )
    assert json.loads(json.dumps(pair)) == pair


def test_compare_prints_and_writes_budgets(tmp_path, capsys):
    plans = {"base": None, "sft": trained("sft_distill", **NO_TEACHER)}
    plans["grpo"] = trained("grpo", device_seconds=25, **NO_TEACHER)
    runs = [
        str(write_run(tmp_path / arm, cost_rows(arm, 0.5, num_items=12), training=training))
        for arm, training in plans.items()
    ]
    words = ["--bootstrap", "100", "--output", str(tmp_path / "out.json")]
    command(["compare", *runs, *words, "--budget_tolerance", "0.5"])
    pairs = read_json(tmp_path / "out.json")["budgets"]
    assert [(pair["a"], pair["b"]) for pair in pairs] == [("sft", "grpo")]
    by_measure = {row["measure"]: row for row in pairs[0]["measures"]}
    assert by_measure["device_seconds"]["ratio"] == pytest.approx(0.4)
    text = capsys.readouterr().out
    assert "Budgets of sft and grpo: matched within 50 % on trained tokens" in text
    assert "grpo used 2.5 times sft's" in text


@pytest.mark.parametrize(
    ("size", "per_processed"), [(Size(100, 100), 600), (Size(100, 2), 404), (Size(100, 0), 400)]
)
def test_flops_of_full_training_and_of_adapters(tmp_path, size, per_processed):
    ledger = Ledger(tmp_path, SINGLE)
    ledger.size = size
    ledger.counts |= {"processed_tokens": 10, "generated_tokens": 5}
    assert ledger.budget()["model_flops"] == 10 * per_processed + 5 * 200


def test_flops_of_a_teacher_that_scores(tmp_path):
    ledger = Ledger(tmp_path, SINGLE)
    ledger.size = Size(1, 1)
    assert ledger.budget()["teacher_flops"] == 0
    ledger.counts["teacher_scored_tokens"] = 10
    assert ledger.budget()["teacher_flops"] is None
    ledger.teacher_parameters = 1000
    assert ledger.budget()["teacher_flops"] == 20_000


def test_a_resumed_ledger_goes_on_with_counts_and_peaks(tmp_path):
    first = Ledger(tmp_path, SINGLE)
    first.counts |= {"trained_tokens": 7, "peak_memory_gib": 999.0}
    first.size = Size(1, 1)
    first.on_save(None, SimpleNamespace(global_step=3), None)
    saved = read_json(tmp_path / "checkpoint-3" / "ledger.json")
    assert saved["model_flops"] == 0.0
    second = Ledger(tmp_path, SINGLE)
    second.restore(str(tmp_path / "checkpoint-3"))
    second.on_train_begin(None, None, None)
    second.on_train_end(None, None, None)
    assert second.counts["trained_tokens"] == 7
    assert second.counts["peak_memory_gib"] == 999.0
    assert second.counts["device_seconds"] == second.counts["train_seconds"] > 0
