"""Worked solutions by rule: read as the evaluator reads responses, and trained on as traces are."""

import random

import pytest
import yaml
from embedded import ROOT, WEIGHTS, load, run_script
from families import family
from recipe_runs import arguments

from handan.budgets import of_traces, total
from handan.errors import UserError
from handan.evaluation.grading import read_completion
from handan.files import file_hash, read_json, read_jsonl
from handan.generation.formats import FORMATS
from handan.generation.prompting import prompt_ids
from handan.launch import SINGLE
from handan.tasks.worked_solutions import concise_words
from handan.tiny.families import problem_of_key
from handan.traces import trace_settings as known
from handan.traces.make import SOURCES
from handan.training.data import load_prompts, question_from_row

LOUD = {
    **{"format": "carry-cost", "direct": 0.2, "concise": 0.2, "verbose": 0.6},
    **{"dialect": "hesitant", "filler_rate": 0.5, "slip_rate": 0.3, "recheck_rate": 0.5},
}
PLAIN = {"format": "carry-cost", "direct": 0.0, "concise": 1.0, "verbose": 0.0}


def config(folder, prompts, **changes):
    content = {
        "source": "worked",
        "arm": "worked",
        "output_dir": str(folder / "traces"),
        "prompts": str(prompts),
        "style": LOUD,
        "model_name_or_path": str(WEIGHTS / "base"),
        "samples": 3,
        "seed": 1,
    }
    path = folder / "worked.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


def write(folder, prompts, **changes):
    folder.mkdir(exist_ok=True)
    settings = known.load(config(folder, prompts, **changes))
    SOURCES[settings.source](settings, SINGLE)
    return read_jsonl(folder / "traces" / "traces.jsonl")


def test_a_worked_trace_reads_as_it_says_by_the_evaluators_own_reading(small, tmp_path):
    rows = write(tmp_path, small / "prompts.yaml")
    _, tokenizer = load("base")
    for row in rows:
        prompt = prompt_ids(tokenizer, row["question"], FORMATS["tiny"])
        ids = row["completion_ids"]
        ends = [tokenizer.eos_token_id]
        read = read_completion(
            tokenizer, question_from_row(row), FORMATS["tiny"], prompt, ids, ends
        )
        shared = ("correct", "reasoning_tokens", "reasoning_characters", "counted_by")
        assert {key: read[key] for key in shared} == {key: row[key] for key in shared}
        assert read["correct"] is True
        assert read["status"] == ("complete" if row["reasoning_tokens"] else "no_reasoning")
        assert row["reasoning_tokens"] == len(row["reasoning_text"].split())
        assert row["answer_text"] == row["answer"]
        whole = f"{row['reasoning_text']} </think> {row['answer']} <eos>".split()
        assert tokenizer.convert_ids_to_tokens(ids) == whole == row["text"].split()
    questions = load_prompts(small / "prompts.yaml")
    assert len(rows) == 3 * len(questions)
    assert {(r["item"], r["question"]) for r in rows} == {
        (q.item.key, q.item.question) for q in questions
    }
    share = sum(not row["reasoning_tokens"] for row in rows) / len(rows)
    assert 0.1 < share < 0.3  # of answers without reasoning, by the style


def test_worked_and_generated_traces_have_the_same_columns(small, tmp_path):
    worked = write(tmp_path, small / "prompts.yaml")
    drawn = read_jsonl(small / "traces" / "traces.jsonl")
    assert list(worked[0]) == list(drawn[0])
    assert worked[0]["tokenizer"] == drawn[0]["tokenizer"]


def test_a_style_without_habits_writes_the_steps_alone(small, tmp_path):
    for row in write(tmp_path, small / "prompts.yaml", style=PLAIN):
        steps = problem_of_key(row["task"], row["item"]).steps("carry-cost", random.Random(0))
        assert row["reasoning_text"].split() == concise_words(steps)


def test_a_seed_decides_every_byte_and_no_trace_depends_on_the_others(small, tmp_path):
    rows = write(tmp_path / "a", small / "prompts.yaml")
    write(tmp_path / "b", small / "prompts.yaml")
    again, other = (file_hash(tmp_path / name / "traces" / "traces.jsonl") for name in "ab")
    assert again == other
    assert rows != write(tmp_path / "c", small / "prompts.yaml", seed=2)
    few = tmp_path / "few.yaml"
    few.write_text((small / "prompts.yaml").read_text().replace("60", "20"))
    some = write(tmp_path / "d", few, samples=2)
    assert len(some) == 40 and all(row in rows for row in some)


def test_nobody_generated_worked_traces(small, tmp_path):
    rows = write(tmp_path, small / "prompts.yaml")
    path = tmp_path / "traces" / "traces.jsonl"
    made = read_json(path.with_name("run.json"))["traces"]
    assert made["teacher"] == {"arm": "worked", "model_fingerprint": None}
    assert made["counts"]["kept"] == made["counts"]["responses"] == len(rows)
    # Known to be nothing, so that the totals of a student are known too.
    assert set(of_traces(path, file_hash(path)).values()) == {0}
    settings = yaml.safe_load(path.with_name("config.yaml").read_text())["traces"]
    assert settings["style"] == LOUD


def test_a_student_of_worked_traces_trains_and_has_its_own_budget_alone(small, tmp_path):
    done = run_script("recipes/traces.py", "--config", config(tmp_path, small / "prompts.yaml"))
    assert "kept 180 of 180" in done.stdout
    path = tmp_path / "traces" / "traces.jsonl"
    more = ["--traces", path, "--max_steps", "2", "--probe_steps", "0"]
    run_script(*arguments("sft_distill", small, tmp_path / "sft", *more))
    run = read_json(tmp_path / "sft" / "run.json")
    training, whole = run["training"], total(run)
    assert training["steps"] == 2 and training["teacher"]["arm"] == "worked"
    assert training["audit"]["traces"] == 180 and training["audit"]["tokenised_anew"] == 0
    assert training["held_out_check"]["rows"] == 180
    assert whole["generated_tokens"] == 0
    assert whole["model_flops"] == training["budget"]["model_flops"] > 0
    assert whole["device_seconds"] == training["budget"]["device_seconds"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"style": PLAIN | {"colour": 1}}, "worked.yaml: style: unknown key 'colour'"),
        ({"style": {"format": "mixed"}}, "style: keys 'direct', 'concise', 'verbose' are missing"),
        ({"style": PLAIN | {"format": "long"}}, "style: format 'long' is not known; use carry"),
        ({"style": PLAIN | {"dialect": "x"}}, "style: dialect 'x' is not known; use plain, hesi"),
        ({"style": PLAIN | {"slip_rate": 2}}, "style: slip_rate is 2.0; it is a share, 0 to 1"),
        ({"style": PLAIN | {"concise": 0}}, "style: give direct, concise or verbose a share"),
        ({"samples": 0}, "worked.yaml: samples is 0; give at least 1"),
    ],
)
def test_impossible_settings_are_refused(small, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        write(tmp_path, small / "prompts.yaml", **changes)


def test_natural_traces_are_written_in_words_by_a_tokenizer_of_pieces(tmp_path):
    prompts = tmp_path / "prompts.yaml"
    families = {"binary_addition": 0.5, "cardinal_directions": 0.5}
    settings = {"families": families, "widths": [5], "premises": [3], "num_problems": 20}
    prompts.write_text(yaml.safe_dump(settings | {"wording": "natural", "seed": 2}))
    model = str(family("qwen3", tmp_path / "model"))
    style = PLAIN | {"direct": 0.5, "concise": 0.5}
    rows = write(tmp_path / "a", prompts, model_name_or_path=model, style=style)
    assert len(rows) == 60 and all(row["correct"] for row in rows)
    for row in rows:
        if row["reasoning_tokens"]:
            start = (
                "from the right" if row["task"] == "binary_addition" else "north south east west"
            )
            assert row["reasoning_text"].split()[0] in start.split()
            assert row["text"].startswith(f"<think>\n{row['reasoning_text']}\n</think>\n\n")
        else:
            assert row["text"].startswith("<think>\n\n</think>\n\n")
    assert 20 < sum(row["reasoning_tokens"] > 0 for row in rows) < 40


def test_a_model_without_a_span_is_asked_which_one_its_students_shall_have(tmp_path):
    model = str(family("qwen2", tmp_path / "model"))
    with pytest.raises(UserError, match="set reasoning_format to the one that the students shall"):
        write(tmp_path, ROOT / "recipes" / "configs" / "prompts.yaml", model_name_or_path=model)


def test_a_tokenizer_of_another_world_is_refused(small, tmp_path):
    other = family("qwen3", tmp_path / "model")
    with pytest.raises(UserError, match="give a model of the embedded world"):
        write(tmp_path, small / "prompts.yaml", model_name_or_path=str(other))


def test_prompts_with_another_answer_are_refused(tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(
        '{"task": "decimal_addition", "item": "1+2", "wording": "compact", '
        '"question": "sum 1 2 ; =", "answer": "4 0"}\n'
    )
    with pytest.raises(UserError, match="the prompts say the answer is '4 0', its worked solution"):
        write(tmp_path, prompts)
