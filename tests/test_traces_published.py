"""Published trace sets in their real layouts, streamed through the real library."""

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from datasets import Dataset
from embedded import ROOT

from handan.errors import UserError
from handan.files import read_json, read_jsonl, write_jsonl
from handan.launch import SINGLE
from handan.tasks.mathematics import Pool
from handan.traces import published
from handan.traces import trace_settings as known
from handan.traces.published import import_traces, open_set
from handan.training.data import load_prompts
from handan.training.labels import load_traces

CONFIGS = ROOT / "recipes" / "configs" / "published"
FIXTURES = Path(__file__).parent / "published"
SETS = ["mixture_of_thoughts", "openthoughts3", "s1k", "bespoke_stratos"]


@pytest.fixture(autouse=True)
def short_limits(monkeypatch):
    """One row of s1k holds a power tower; one second of it is enough."""
    monkeypatch.setattr(published, "Pool", partial(Pool, size=1, cpu_seconds=1.0))


def settings(name, output_dir, **changes):
    """The shipped YAML of a set, reading our few rows in the same layout."""
    shipped = known.load(CONFIGS / f"{name}.yaml")
    local = {"dataset": str(FIXTURES / f"{name}.jsonl"), "revision": None, "shuffle_buffer": 0}
    return replace(shipped, output_dir=str(output_dir), **local | changes)


def imported(name, output_dir, **changes):
    import_traces(settings(name, output_dir, **changes), SINGLE)
    return read_jsonl(output_dir / "traces.jsonl"), read_json(output_dir / "run.json")["traces"]


@pytest.mark.parametrize("name", SETS)
def test_every_row_is_accounted_for(name, tmp_path):
    traces, made = imported(name, tmp_path)
    counts = made["counts"]
    rows = len(read_jsonl(FIXTURES / f"{name}.jsonl"))
    assert counts["responses"] == rows == len(traces) + sum(counts["dropped"].values())
    assert counts["kept"] == len(traces)
    assert counts["tasks"]["math"]["dropped"] == counts["dropped"]


def test_mixture_of_thoughts(tmp_path):
    traces, made = imported("mixture_of_thoughts", tmp_path)
    assert made["counts"]["dropped"] == {
        "contaminated_same_sum": 1,
        "unclosed_reasoning": 1,
        "stray_markup": 1,
        "several_turns": 1,
    }
    example = made["examples_dropped"]["contaminated_same_sum"][0]
    assert example["match"] == "binary_addition 0101+0011"
    first, second = traces[:2]
    assert first["question"].startswith("A farmer has 17 sheep")
    assert first["reasoning_text"].startswith("Seventeen and twenty-five.")
    assert first["answer_text"] == "There are $\\boxed{42}$ sheep."
    assert (first["sample"], second["sample"]) == (0, 1) and first["item"] == second["item"]
    assert first["completion_ids"] is None and first["reasoning_tokens"] is None
    assert first["reasoning_characters"] == len(first["reasoning_text"])
    assert made["counts"]["outcomes"] == {"no_reference": 5}


def test_openthoughts_repeats_and_other_domains(tmp_path):
    traces, made = imported("openthoughts3", tmp_path)
    assert made["counts"]["dropped"] == {
        "other_rows": 1,
        "near_duplicate_trace": 1,
        "duplicate_trace": 1,
        "near_duplicate_prompt": 1,
    }
    # The same words with other numbers are another problem.
    squares = Counter(trace["question"][-4:] for trace in traces)
    assert squares["196?"] == 2 and squares["169?"] == 1


def test_without_similarities_only_identical_traces_go(tmp_path):
    _, made = imported("openthoughts3", tmp_path, prompt_similarity=None, trace_similarity=None)
    assert made["counts"]["dropped"] == {"other_rows": 1, "duplicate_trace": 1}


def test_s1k_is_verified_against_its_solutions(tmp_path):
    traces, made = imported("s1k", tmp_path)
    counts = made["counts"]
    assert counts["outcomes"] == {
        "correct": 3,
        "wrong": 1,
        "timeout": 1,
        "no_reference": 1,
        "unreadable": 1,
    }
    # What could not be graded is neither right nor wrong.
    assert counts["dropped"] == {"wrong": 1, "ungraded": 1, "no_reference": 1, "unreadable": 1}
    assert [trace["answer"] for trace in traces] == ["\\frac{1}{6}", "x^2+2x+1", "\\frac{3}{8}"]
    assert all(trace["correct"] for trace in traces)
    assert traces[0]["reasoning_text"].startswith("There are 36 outcomes")


def test_the_unverified_arm_keeps_all_and_knows_what_it_keeps(tmp_path):
    traces, made = imported("s1k", tmp_path, keep="all")
    assert len(traces) == 7 and made["counts"]["dropped"] == {}
    assert Counter(trace["correct"] for trace in traces) == {True: 3, False: 2, None: 2}


def test_bespoke_stratos_loses_its_marks(tmp_path):
    traces, made = imported("bespoke_stratos", tmp_path)
    assert made["counts"]["dropped"] == {"no_reasoning_span": 1, "empty_reasoning": 1}
    assert traces[0]["answer_text"] == "A day has $\\boxed{1440}$ minutes."
    assert not any("<|" in trace["text"] for trace in traces)


def test_the_prompts_of_kept_traces_serve_both_arms(tmp_path):
    traces, _ = imported("s1k", tmp_path)
    prompts = load_prompts(tmp_path / "prompts.jsonl")
    assert [p.item.key for p in prompts] == [trace["item"] for trace in traces]
    assert prompts[0].task.grade(prompts[0].item, "\\boxed{1/6}").correct
    assert load_traces(tmp_path / "traces.jsonl", tmp_path / "prompts.jsonl") == traces
    # A plain file of the same questions holds the same prompts.
    plain = [{key: trace[key] for key in ("question", "answer")} for trace in traces]
    write_jsonl(tmp_path / "plain.jsonl", plain)
    assert load_traces(tmp_path / "traces.jsonl", tmp_path / "plain.jsonl") == traces


def test_parquet_in_shuffled_order_gives_the_same_traces(tmp_path):
    rows = read_jsonl(FIXTURES / "bespoke_stratos.jsonl")
    Dataset.from_list(rows).to_parquet(tmp_path / "set.parquet")
    local = {"dataset": str(tmp_path / "set.parquet"), "shuffle_buffer": 10}
    first, _ = imported("bespoke_stratos", tmp_path / "a", **local)
    again, _ = imported("bespoke_stratos", tmp_path / "b", **local)
    plain, _ = imported("bespoke_stratos", tmp_path / "c")
    assert first == again
    assert {trace["item"] for trace in first} == {trace["item"] for trace in plain}


def test_a_limit_is_the_number_of_rows_read(tmp_path):
    _, made = imported("mixture_of_thoughts", tmp_path, limit=3)
    assert made["counts"]["responses"] == 3


def test_a_finished_set_is_not_read_again_and_never_mixed(tmp_path, capsys):
    imported("s1k", tmp_path)
    before = (tmp_path / "traces.jsonl").stat().st_mtime_ns
    imported("s1k", tmp_path)
    assert "made already" in capsys.readouterr().out
    assert (tmp_path / "traces.jsonl").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="traces was begun with ngram = 8, now it is 13"):
        imported("s1k", tmp_path, ngram=13)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": "problem"}, "there is no column 'problem'; the set has: solution, question"),
        ({"where": {"topic": "x"}}, "there is no column 'topic'"),
        ({"dataset": "nowhere.jsonl"}, "nowhere.jsonl: no such file"),
        ({"where": {"cot_type": "none"}}, r"none of 7 responses can be kept \(7 other_rows\)"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        imported("s1k", tmp_path, **changes)


def test_a_set_that_cannot_be_reached_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"open-thoughts/OpenThoughts3-1\.2M: cannot be opened"):
        open_set(known.load(CONFIGS / "openthoughts3.yaml"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": "correct", "reference": None}, "without a column of reference answers"),
        ({"close": None}, "give either 'reasoning', the column, or 'open' and 'close'"),
        ({"keep": "some"}, "keep is 'some'; use correct or all"),
        ({"ngram": 0}, "ngram is 0; give at least 1"),
        ({"prompt_similarity": 2.0}, "prompt_similarity is 2.0; give a number above 0"),
        ({"source": "generate"}, "set 'source' in the YAML itself"),
    ],
)
def test_impossible_settings_are_named(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        known.check(settings("bespoke_stratos", tmp_path, **changes), "x.yaml")


def test_fixtures_have_the_columns_of_the_real_sets():
    columns = {name: set(read_jsonl(FIXTURES / f"{name}.jsonl")[0]) for name in SETS}
    assert columns["mixture_of_thoughts"] == {"messages", "num_tokens", "source"}
    assert columns["openthoughts3"] == {"difficulty", "source", "domain", "conversations"}
    assert columns["s1k"] >= {"question", "solution", "deepseek_thinking_trajectory"}
    assert columns["bespoke_stratos"] == {"system", "conversations"}


def test_rows_are_plain_json(tmp_path):
    imported("openthoughts3", tmp_path)
    for line in (tmp_path / "traces.jsonl").read_text().splitlines():
        assert set(json.loads(line)) >= {"task", "item", "sample", "text", "source", "tokenizer"}
