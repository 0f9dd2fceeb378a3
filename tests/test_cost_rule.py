"""What a response costs where there is no reasoning span, by either rule."""

import numpy as np
import pytest
from embedded import SUITES, small_suite
from test_evaluate import perfect_rows

from handan.alignment.align import align
from handan.alignment.costs import RESPONSE, SPAN, as_table, status_under, with_cost_rule
from handan.cli import command
from handan.errors import UserError
from handan.evaluation.evaluate import cost_rows
from handan.evaluation.suite import load_suite
from handan.files import read_json, write_csv


def rows(form, reasoning, answer, rule):
    """Costs of one model on human items; answers grow with the time people take."""
    generations, items = perfect_rows(lambda rt: 1)
    times = {(e.item.task, e.item.key): e.human_rt_s for e in items}
    for row in generations:
        rt = times[row["task"], row["item"]]
        row |= {"model": form, "reasoning_format": form, "answer_characters": 4}
        row |= {"reasoning_tokens": reasoning, "answer_tokens": round(answer * rt)}
        row |= {"status": "complete" if reasoning else "no_reasoning"}
        row |= {"reasoning_characters": reasoning, "counted_by": "token_ids"}
    return cost_rows(generations, items, rule)


@pytest.mark.parametrize(
    ("form", "without_span", "rule", "status"),
    [
        ("plain", "response", "response", "complete"),
        ("plain", "none", "span", "no_reasoning"),
        ("qwen3_no_thinking", "response", "response", "complete"),
        # A model that can think and answers directly has thought nothing, by either suite.
        ("qwen3", "response", "span", "no_reasoning"),
    ],
)
def test_the_suite_says_what_a_model_without_a_span_spends(form, without_span, rule, status):
    row = rows(form, 0, 10, without_span)[0]
    assert (row["cost_rule"], row["status"]) == (rule, status)
    assert row["reasoning_tokens"] == (row["answer_tokens"] if rule == "response" else 0)
    assert row["reasoning_characters"] == (4 if rule == "response" else 0)


def test_each_rule_is_computed_from_the_other():
    both = rows("plain", 0, 1000, "response") + rows("qwen3", 7, 1000, "response")
    table = as_table(both)
    spans = with_cost_rule(table, SPAN)
    assert set(spans.numbers["reasoning_tokens"]) == {0, 7}
    assert set(spans.text["status"]) == {"no_reasoning", "complete"}
    whole = with_cost_rule(spans, RESPONSE)
    np.testing.assert_array_equal(
        whole.numbers["reasoning_tokens"],
        spans.numbers["reasoning_tokens"] + table.numbers["answer_tokens"],
    )
    assert set(whole.text["status"]) == {"complete"}
    assert set(whole.text["cost_rule"]) == {"response"}
    back = with_cost_rule(whole, SPAN)
    np.testing.assert_array_equal(
        back.numbers["reasoning_tokens"], spans.numbers["reasoning_tokens"]
    )


def test_a_whole_response_is_no_direct_answer_and_its_answer_is_not_held_constant():
    result = align(rows("plain", 0, 1e5, "response"), bootstrap=200, seed=0)
    task = result["models"]["plain"]["tasks"]["binary_addition"]
    assert task["cost_rule"] == "response" and task["no_reasoning_rate"] == 0
    assert task["r_loglog"] == pytest.approx(1, abs=1e-6)
    assert "answer_tokens" not in task["partial"]


def test_different_rules_of_two_models_are_noted():
    both = rows("plain", 0, 1000, "response") + rows("qwen3", 7, 1000, "response")
    (note,) = [n for n in align(both, bootstrap=200, seed=0)["notes"] if "whole response" in n]
    assert note.startswith("cost is the whole response for plain and the reasoning span for")


def test_the_rule_is_an_option_of_align(tmp_path):
    both = rows("plain", 0, 1000, "response") + rows("qwen3", 7, 1000, "response")
    path = tmp_path / "costs.csv"
    write_csv(path, list(both[0]), both)
    out = ["--output", str(tmp_path / "out.json"), "--bootstrap", "100"]
    command(["align", str(path), "--cost_rule", "response", *out])
    models = read_json(tmp_path / "out.json")["models"]
    assert {m["tasks"]["binary_addition"]["cost_rule"] for m in models.values()} == {"response"}
    command(["align", str(path), "--cost_rule", "span", *out])
    models = read_json(tmp_path / "out.json")["models"]
    assert models["plain"]["tasks"]["binary_addition"]["mean_tokens"] == 0


def test_a_rule_that_cannot_be_computed_is_named(tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text("task,item,reasoning_tokens,human_rt_s\nadd,a,5,1\nadd,b,6,2\n")
    with pytest.raises(UserError, match="line 2: answer_tokens do not give its cost by rule 'resp"):
        command(["align", str(path), "--cost_rule", "response"])
    path.write_text("task,item,reasoning_tokens,human_rt_s,cost_rule\nadd,a,5,1,most\n")
    with pytest.raises(UserError, match="cost_rule is 'most'; use span, response"):
        command(["align", str(path)])


@pytest.mark.parametrize(
    ("rule", "status", "cost", "expected"),
    [
        (RESPONSE, "no_reasoning", 5, "complete"),
        (RESPONSE, "no_reasoning", 0, "no_reasoning"),
        (SPAN, "complete", 0, "no_reasoning"),
        (SPAN, "truncated", 0, "truncated"),
        (RESPONSE, "unparsed", 5, "unparsed"),
    ],
)
def test_the_status_follows_the_rule(rule, status, cost, expected):
    assert status_under(rule, status, cost) == expected


def test_the_suite_must_say_it(tmp_path):
    with pytest.raises(UserError, match="cost_without_span is 'all'; use response or none"):
        load_suite(small_suite(tmp_path, cost_without_span="all"))
    assert load_suite(SUITES / "human.yaml").cost_without_span == "response"
