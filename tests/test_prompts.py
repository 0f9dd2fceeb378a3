import json
import math
import re

import pytest
import yaml
from datasets import Dataset
from embedded import ROOT, load

from handan import tasks
from handan.errors import UserError
from handan.files import content_hash, read_json, write_json
from handan.generation.formats import FORMATS
from handan.tasks import evaluation_items
from handan.tasks.fresh import SYMBOLS
from handan.tiny.evaluation_items import TASKS, held_out
from handan.tiny.families import problem_of_key
from handan.traces.generate import sort_by_difficulty
from handan.training.data import check_held_out, load_prompts, prompt_rows

PROMPTS = ROOT / "recipes" / "configs" / "tiny" / "prompts.yaml"
NATURAL = ROOT / "recipes" / "configs" / "prompts.yaml"


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


def test_long_problems_are_drawn_where_they_are_asked_for(tmp_path):
    path = tmp_path / "prompts.yaml"
    settings = {"families": {"decimal_addition": 1.0, "ordering": 1.0}, "widths": [1], "seed": 1}
    settings |= {"num_problems": 200, "decimal_digits": [6], "premises": [7]}
    path.write_text(yaml.safe_dump(settings))
    questions = load_prompts(path)
    assert {q.item.task for q in questions} == {"decimal_addition", "ordering"}
    assert {q.item.question.count(">") for q in questions} == {0, 7}
    path.write_text(yaml.safe_dump(settings | {"premises": [8]}))
    with pytest.raises(UserError, match=r"prompts.yaml: premises must hold numbers of premises"):
        load_prompts(path)


@pytest.mark.parametrize("path", [PROMPTS, NATURAL], ids=["compact", "natural"])
def test_every_answer_of_a_problem_set_is_graded_right(path):
    questions = load_prompts(path)
    assert all(q.task.grade(q.item, q.item.answer).correct for q in questions)
    assert len({(q.item.task, q.item.key) for q in questions}) == len(questions)


def test_another_answer_of_a_natural_problem_is_graded_wrong():
    for question in load_prompts(NATURAL)[:300]:
        right = question.item.answer
        wrong = {"true": "false", "false": "true"}.get(right, right + "1")
        assert not question.task.grade(question.item, f"The answer is {wrong}.").correct


def test_natural_problems_are_larger_than_what_people_were_given():
    for question in load_prompts(NATURAL):
        item = question.item
        assert question.wording == "natural"
        if item.task in SYMBOLS:
            left = item.key.split("=")[0]
            assert all(int(number) > 9 for number in left.split(SYMBOLS[item.task]))
        else:
            operands = re.findall("[01]+", item.key)
            assert max(int(bits, 2) for bits in operands) >= 16
            assert operands[0] in item.question and operands[1] in item.question


def test_true_and_false_results_are_balanced():
    answers = [q.item.answer for q in load_prompts(NATURAL) if q.item.task in SYMBOLS]
    assert 0.4 < answers.count("true") / len(answers) < 0.6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": [3, 4]}, "prompts.yaml: widths .3, 4.: natural binary problems need more"),
        ({"families": {"products": 1.0}, "digits": [1]}, "digits .1.: natural products"),
        ({"families": {"syllogisms": 1.0}, "premises": [2, 3]}, "premises .2, 3.: .* need 3 to 6"),
        ({"families": {"ordering": 1.0}}, "no natural problems of 'ordering'; there are"),
        ({"wording": "french"}, "wording 'french'; use natural or compact"),
    ],
)
def test_natural_problems_that_would_be_human_items_are_refused(tmp_path, change, message):
    path = tmp_path / "prompts.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(NATURAL.read_text()) | change))
    with pytest.raises(UserError, match=message):
        load_prompts(path)


def test_the_problem_set_of_the_demo_stays_what_it_is():
    rows = [
        [q.item.task, q.item.key, q.item.question, q.item.answer] for q in load_prompts(PROMPTS)
    ]
    assert content_hash(rows) == "51f65e7d1bfdba15"


def changed(tmp_path, name="prompts.yaml", **changes):
    path = tmp_path / name
    path.write_text(yaml.safe_dump(yaml.safe_load(PROMPTS.read_text()) | changes))
    return path


def keys(questions):
    return [(q.item.task, q.item.key) for q in questions]


@pytest.mark.parametrize("hardest", [0.1, 0.33, 0.5, 0.999])
def test_the_hardest_of_each_family_are_kept(tmp_path, hardest):
    number = 301
    kept = keys(load_prompts(changed(tmp_path, num_problems=number, hardest=hardest)))
    assert len(kept) == len(set(kept)) == number
    wanted = math.ceil(number / hardest)
    everything = keys(load_prompts(changed(tmp_path, "all.yaml", num_problems=wanted)))
    assert [key for key in everything if key in set(kept)] == kept  # in the order of the draw
    for family in {task for task, _ in everything}:
        drawn = [key for key in everything if key[0] == family]
        of = [key for key in drawn if key in set(kept)]
        assert abs(len(of) - number * len(drawn) / wanted) < 1
        cost = {key: problem_of_key(*key).analytic_cost for key in drawn}
        # Python's sort is stable: among equally hard ones those that were drawn first.
        assert set(of) == set(sorted(drawn, key=lambda key: -cost[key])[: len(of)])


def test_all_problems_are_kept_unless_told_otherwise(tmp_path):
    one = load_prompts(changed(tmp_path, num_problems=200, hardest=1))
    other = load_prompts(changed(tmp_path, "other.yaml", num_problems=200))
    assert [q.item for q in one] == [q.item for q in other]


@pytest.mark.parametrize("hardest", [0, -0.5, 1.01])
def test_an_impossible_share_is_refused(tmp_path, hardest):
    with pytest.raises(UserError, match=r"prompts\.yaml: hardest is .*; it is a share above 0"):
        load_prompts(changed(tmp_path, hardest=hardest))


def test_natural_problems_have_no_analytic_cost_to_choose_by(tmp_path):
    path = tmp_path / "prompts.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(NATURAL.read_text()) | {"hardest": 0.5}))
    with pytest.raises(UserError, match="hardest needs an analytic cost, which only compact"):
        load_prompts(path)


def test_what_rows_were_compared_to_is_counted(tmp_path):
    natural = row("binary_addition", "x", "natural", "Add the binary numbers 10101 and 1.")
    assert check_held_out([row()], "here") == {
        "rows": 1,
        "evaluation_items": len(held_out()),
        "found": 0,
    }
    both = check_held_out([row(), natural], "here")
    assert both["rows"] == 2
    assert both["evaluation_items"] == len(held_out()) + len(evaluation_items())


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


@pytest.mark.parametrize(
    ("task", "of"),
    [
        ("ordering", "ordering"),
        ("ordering", "ordering_long"),
        ("ordering_long", "ordering_long"),
        ("decimal_addition", "decimal_addition_long"),
    ],
)
def test_an_analytic_evaluation_item_stops(tmp_path, task, of):
    item = TASKS[of].items()[0]
    path = write_rows(tmp_path, row(task, item.key, question=item.question))
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
    del broken["answer"], broken["item"]
    with pytest.raises(UserError, match="line 1: no 'item' and no 'answer', but task, wording"):
        load_prompts(write_rows(tmp_path, broken))


# Files of one's own, and published sets.

OWN = [
    {"question": "What is 12 plus 30?", "answer": 42, "level": 1},
    {"question": "Ann has 3 apples and eats one.  How many?", "answer": "3 - 1 = 2\n#### 2"},
]


def of_set(tmp_path, dataset, **settings):
    path = tmp_path / "set.yaml"
    path.write_text(yaml.safe_dump({"dataset": str(dataset), **settings}))
    return load_prompts(path)


def test_a_question_and_its_answer_are_enough(tmp_path):
    first, second = load_prompts(write_rows(tmp_path, *OWN))
    assert (first.item.task, first.wording, first.item.answer) == ("math", "natural", "42")
    assert first.columns == {"level": 1} and second.columns == {}
    assert second.item.answer == "2"
    # As recipes/traces.py names the prompts of published traces.
    question = "Ann has 3 apples and eats one. How many?"
    assert second.item.key == f"math-{content_hash(question)}"
    assert first.task.grade(first.item, "So the answer is 42.").correct


def test_every_kind_of_file_holds_the_same_prompts(tmp_path):
    lines = load_prompts(write_rows(tmp_path, *OWN))
    renamed = [{"problem": one["question"], "solution": str(one["answer"])} for one in OWN]
    header = "question,answer\n"
    texts = [f'"{one["problem"]}","{one["solution"]}"\n' for one in renamed]
    (tmp_path / "prompts.csv").write_text(header + "".join(texts))
    folder = tmp_path / "folder"
    folder.mkdir()
    Dataset.from_list(renamed).to_parquet(folder / "train.parquet")
    same = [{"question": one["problem"], "answer": one["solution"]} for one in renamed]
    Dataset.from_list(same).to_parquet(tmp_path / "prompts.parquet")
    columns = {"question": "problem", "answer": "solution"}
    found = [
        load_prompts(tmp_path / "prompts.csv"),
        load_prompts(tmp_path / "prompts.parquet"),
        of_set(tmp_path, folder / "train.parquet", columns=columns),
        of_set(tmp_path, folder, columns=columns, split="train"),
        of_set(tmp_path, tmp_path / "prompts.csv"),
    ]
    for prompts in found:
        assert [one.item for one in prompts] == [one.item for one in lines]


def test_rows_of_a_set_that_are_no_prompts_are_counted(tmp_path, capsys):
    human = tasks.load("syllogisms").items()[10].question
    others = [{"question": "Prove it.", "answer": "Let x be a number.\nThen it holds."}, OWN[0]]
    others += [{"question": human, "answer": "1"}, {"question": "And now?", "answer": None}]
    path = tmp_path / "set.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in [*OWN, *others]))
    assert [one.item.answer for one in of_set(tmp_path, path)] == ["42", "2"]
    told = capsys.readouterr().out
    assert "2 prompts; left out 1 that repeat one and 3 that are none, such as" in told
    assert "line 3: no answer can be read" in told
    with pytest.raises(UserError, match="line 3: no answer can be read; give it alone"):
        load_prompts(path)


def test_a_set_without_any_prompt_stops(tmp_path):
    path = write_rows(tmp_path, {"problem": "1 + 1?", "solution": "2"})
    message = "no 'question' and no 'answer', but problem, solution; rename columns, or map them"
    with pytest.raises(UserError, match=message):
        of_set(tmp_path, path)


def test_an_item_with_two_answers_stops(tmp_path):
    path = write_rows(tmp_path, OWN[0], {**OWN[0], "answer": 43})
    with pytest.raises(UserError, match=r"line 2: 'math-.*' has another question or answer above"):
        load_prompts(path)


@pytest.mark.parametrize("revision", [None, "main", "e53f048"])
def test_a_set_of_the_hub_needs_the_commit_that_is_read(tmp_path, revision):
    with pytest.raises(UserError, match="set 'revision' to a commit of openai/gsm8k"):
        of_set(tmp_path, "openai/gsm8k", name="main", revision=revision)


def test_other_columns_go_to_the_rewards_as_they_are(tmp_path):
    _, tokenizer = load()
    levels = [{"level": 1}, {}, {"level": [1, "two"]}]
    written = [row(item=f"1{n}+011", **level) | level for n, level in enumerate(levels)]
    prompts = load_prompts(write_rows(tmp_path, *written))
    rows = Dataset.from_list(prompt_rows(prompts, tokenizer, FORMATS["tiny"]))
    assert [json.loads(text) for text in rows["columns"]] == levels


def test_prompts_are_sorted_by_what_a_model_makes_of_its_samples(tmp_path, capsys):
    prompts = load_prompts(write_rows(tmp_path, *OWN, OWN[0] | {"question": "And 40 plus 2?"}))
    rows = [
        {"task": "math", "item": prompt.item.key, "correct": correct}
        for prompt, verdicts in zip(
            prompts, [(True, True), (False, None), (None, True)], strict=True
        )
        for correct in verdicts
    ]
    write_json(tmp_path / "run.json", {"traces": {}})
    sort_by_difficulty(tmp_path, prompts, rows)
    counts = {"always": 1, "never": 1, "sometimes": 1}
    assert read_json(tmp_path / "run.json")["traces"]["prompts_right"] == counts
    assert "prompts right 1 always, 1 never, 1 sometimes" in capsys.readouterr().out
    (kept,) = load_prompts(tmp_path / "sometimes_right.jsonl")
    assert (kept.item, kept.columns) == (prompts[2].item, {"level": 1})
