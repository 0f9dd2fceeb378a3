import json

import pytest
from embedded import ROOT

from handan import tasks
from handan.errors import UserError
from handan.tiny.tasks import TASKS
from handan.training.prompts import load_prompts

PROMPTS = ROOT / "recipes" / "configs" / "tiny" / "prompts.yaml"


def write_rows(tmp_path, *rows):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(task="binary_addition", item="101+011", wording="compact", question="+ 1 1 ; =", **more):
    return {"task": task, "item": item, "wording": wording, "question": question, "answer": "0 1"}


def test_a_problem_set_is_reproducible_and_without_repeats():
    first, second = load_prompts(PROMPTS), load_prompts(PROMPTS)
    keys = [(q.item.task, q.item.key) for q in first]
    assert keys == [(q.item.task, q.item.key) for q in second]
    assert [q.item.question for q in first] == [q.item.question for q in second]
    assert len(set(keys)) == len(keys) == 3000


def test_every_answer_of_a_problem_set_is_graded_right():
    assert all(q.task.grade(q.item, q.item.answer).correct for q in load_prompts(PROMPTS))


def test_too_many_problems_are_refused(tmp_path):
    path = tmp_path / "prompts.yaml"
    path.write_text("families: {binary_addition: 1}\nwidths: [1]\nnum_problems: 9\nseed: 1\n")
    with pytest.raises(UserError, match="only 4 different problems were found; lower num_problems"):
        load_prompts(path)


def test_the_human_width_is_held_out_whatever_the_settings_ask_for(tmp_path):
    path = tmp_path / "prompts.yaml"
    path.write_text("families: {binary_addition: 1}\nwidths: [4]\nnum_problems: 5\nseed: 1\n")
    with pytest.raises(UserError, match="only 0 different problems"):
        load_prompts(path)


@pytest.mark.parametrize("item", ["0101+0011", "00101+00011"])
def test_a_human_item_in_compact_wording_stops(tmp_path, item):
    path = write_rows(tmp_path, row(), row(item=item))
    with pytest.raises(UserError, match=r"line 2: '0*101\+0*011' of binary_addition is an eval"):
        load_prompts(path)


def test_an_analytic_evaluation_item_stops(tmp_path):
    item = TASKS["ordering"].items()[0]
    path = write_rows(tmp_path, row("ordering", item.key, question=item.question))
    with pytest.raises(UserError, match="is an evaluation item; remove it"):
        load_prompts(path)


def test_a_human_item_in_natural_wording_stops_whatever_its_layout(tmp_path):
    item = tasks.load("syllogisms").items()[10]
    changed = item.question.upper().replace(". ", ".\n  ")
    path = write_rows(tmp_path, row("syllogisms", "mine", "natural", changed))
    with pytest.raises(UserError, match="line 1: 'mine' of syllogisms is an evaluation item"):
        load_prompts(path)


def test_a_missing_column_is_named(tmp_path):
    broken = row()
    del broken["answer"]
    with pytest.raises(UserError, match="line 1: 'answer' is missing"):
        load_prompts(write_rows(tmp_path, broken))
