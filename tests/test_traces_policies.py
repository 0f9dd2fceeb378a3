"""Policies choose among a prompt's own traces and say how far they got."""

import numpy as np
import pytest

from handan.errors import UserError
from handan.files import append_jsonl, read_json, read_jsonl, write_json
from handan.launch import SINGLE
from handan.traces.select import POLICIES, apply, choose_traces
from handan.traces.trace_settings import RunSettings


def settings(policy, **changes):
    defaults = {
        "output_dir": "unused",
        "arm": policy,
        "source": "run",
        "run": "unused",
        "policy": policy,
        "min_samples": 2,
        "max_remaining": None,
        "seed": 1,
    }
    return RunSettings(**defaults | changes)


def rows(num_prompts=200, samples=4, between=0.5, within=0.5, seed=0, task="t"):
    """Traces whose log lengths vary between prompts and within them."""
    rng = np.random.default_rng(seed)
    out = []
    for prompt in range(num_prompts):
        mean = 5 + between * rng.standard_normal()
        for sample in range(samples):
            length = int(np.exp(mean + within * rng.standard_normal())) + 1
            trace = {"task": task, "item": f"p{prompt}", "sample": sample}
            out.append(trace | {"reasoning_tokens": length, "text": f"{prompt}/{sample}"})
    return out


def chosen(policy, of, **changes):
    kept, tally, lengths = apply(of, settings(policy, **changes), "traces.jsonl")
    counts = tally.counts()
    assert counts["responses"] == len(of) == len(kept) + sum(counts["dropped"].values())
    return kept, lengths["tasks"]["t"], counts


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_takes_one_own_unchanged_trace_of_the_same_prompts(policy):
    of = rows()
    kept, entry, counts = chosen(policy, of)
    assert all(row in of for row in kept)
    assert sorted({row["item"] for row in of}) == sorted(row["item"] for row in kept)
    assert counts["dropped"] == {"not_chosen": 600}
    assert entry["prompts"] == 200


def test_as_is_takes_the_first_and_concise_the_shortest():
    of = rows()
    assert all(row["sample"] == 0 for row in chosen("as_is", of)[0])
    shortest = {}
    for row in of:
        shortest[row["item"]] = min(shortest.get(row["item"], 1e9), row["reasoning_tokens"])
    kept, _, _ = chosen("concise", of)
    assert all(row["reasoning_tokens"] == shortest[row["item"]] for row in kept)


def test_fixed_length_takes_most_of_the_variance_away():
    _, entry, _ = chosen("fixed_length", rows(samples=8))
    before, after = entry["as_is"], entry["chosen"]
    assert entry["remaining"] == pytest.approx((after["sd_log"] / before["sd_log"]) ** 2)
    assert entry["remaining"] < 0.3
    assert abs(np.log(after["quantiles"]["0.5"] / before["quantiles"]["0.5"])) < 0.1


def test_length_shuffled_loses_the_correlation_and_keeps_the_spread():
    _, entry, _ = chosen("length_shuffled", rows(samples=8, between=0.3, within=0.6))
    before, after = entry["as_is"], entry["chosen"]
    assert before["r_difficulty"] > 0.4
    assert abs(after["r_difficulty"]) < 0.02
    assert entry["remaining"] == pytest.approx(abs(after["r_difficulty"] / before["r_difficulty"]))
    assert after["r_difficulty_ci"][0] < 0 < after["r_difficulty_ci"][1]
    assert 0.7 < after["sd_log"] / before["sd_log"] < 1.1


def test_length_shuffled_says_how_much_it_could_not_remove():
    of = rows(samples=2, between=1.0, within=0.1)
    _, entry, _ = chosen("length_shuffled", of)
    assert entry["remaining"] > 0.9
    with pytest.raises(UserError, match=r"in t \d+% of the correlation of log length .* remains"):
        chosen("length_shuffled", of, max_remaining=0.2)
    with pytest.raises(UserError, match=r"of the variance of log length remains.*2.0 traces per"):
        chosen("fixed_length", of, max_remaining=0.2)


def test_the_seed_decides_and_tasks_are_shuffled_apart():
    of = rows(samples=8, between=0.3)
    first = chosen("length_shuffled", of)[0]
    assert first == chosen("length_shuffled", of)[0]
    assert first != chosen("length_shuffled", of, seed=2)[0]
    other = rows(task="u", seed=5)
    kept, _, lengths = apply(of + other, settings("length_shuffled"), "traces.jsonl")
    assert [row for row in kept if row["task"] == "t"] == first
    assert set(lengths["tasks"]) == {"t", "u"}


def test_prompts_with_too_few_traces_and_traces_without_reasoning_are_counted():
    of = rows(num_prompts=10)
    of = [row for row in of if row["item"] != "p3" or row["sample"] == 0]
    of[0]["reasoning_tokens"] = 0
    kept, _, counts = chosen("concise", of)
    assert len(kept) == 9
    assert counts["dropped"] == {"no_reasoning": 1, "too_few_samples": 1, "not_chosen": 26}


def test_one_trace_per_prompt_is_refused_with_what_is_needed():
    of = rows(samples=1)
    with pytest.raises(UserError, match="no prompt has more than 1; draw at least 2 samples"):
        chosen("concise", of)
    with pytest.raises(UserError, match="concise chooses among the traces of a prompt; set"):
        choose_traces(settings("concise", min_samples=1), SINGLE)
    with pytest.raises(UserError, match="policy 'longest' is not known; use as_is"):
        choose_traces(settings("longest"), SINGLE)


def test_imported_traces_are_measured_in_characters():
    of = [row | {"reasoning_tokens": None} for row in rows()]
    for row in of:
        row["reasoning_characters"] = 4 * len(row["text"])
    _, _, lengths = apply(of, settings("concise"), "traces.jsonl")
    assert lengths["unit"] == "reasoning_characters"


def test_a_chosen_run_records_where_it_came_from(tmp_path):
    origin = tmp_path / "origin"
    append_jsonl(origin / "traces.jsonl", rows(num_prompts=20))
    teacher = {"arm": "big", "model_fingerprint": "f"}
    budget = {"generated_tokens": 123}
    write_json(origin / "run.json", {"traces": {"teacher": teacher, "budget": budget}})
    made = settings("concise", output_dir=str(tmp_path / "out"), run=str(origin))
    choose_traces(made, SINGLE)
    run = read_json(tmp_path / "out" / "run.json")["traces"]
    assert run["teacher"] == teacher and run["budget"] == budget
    assert run["lengths"]["tasks"]["t"]["chosen"]["n"] == 20
    assert len(read_jsonl(tmp_path / "out" / "traces.jsonl")) == 20
    append_jsonl(origin / "traces.jsonl", rows(num_prompts=1, task="u"))
    with pytest.raises(UserError, match="traces was begun with traces_of_run"):
        choose_traces(made, SINGLE)
