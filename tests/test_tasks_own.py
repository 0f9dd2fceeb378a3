"""A task of one's own from a folder: its graders, its times, what is refused."""

import json
import math

import pytest
import yaml
from embedded import ROOT, SUITES, engine, run_script, small_suite
from recipe_runs import arguments

from handan import norms
from handan.cli import command
from handan.errors import UserError
from handan.evaluation.evaluate import cost_columns, evaluate
from handan.evaluation.suite import coverage_notes, load_suite, suite_items
from handan.launch import SINGLE
from handan.tasks.base import Grade, Item
from handan.tasks.own_task import check, load
from handan.training.data import check_held_out, load_prompts, prompts_hash

NUMBERS = """item,question,answer,steps,human_rt_s
sum,What is 12 + 7?,19,1,2.5
half,What is half of 3?,1.5 | 3/2,1,
large,How many metres are 3 km?,"3,000",2,3
"""
CHOICES = """item,question,answer,choices
capital,"Capital of France? (A) Paris (B) Rome",A,A | B
colour,Is the sky blue or green?,blue,blue | green | dark green
"""
WORDS = 'item,question,answer\na,"Does it follow?",yes\nb,Does it?,no\n'
TEXTS = """item,question,answer
city,Capital of the US?,"Washington, D.C."
order,Which come first?,a then b | a b
"""
MATH = "item,question,answer\nroot,Solve x^2 = 2.,\\pm\\sqrt{2}\n"
MANY = "item,question,answer\n" + "".join(f"{i},{i}?,a{i}\n" for i in range(101))


def write(folder, table, grader, **more):
    folder.mkdir(exist_ok=True)
    (folder / "task.yaml").write_text(yaml.safe_dump({"name": "mine", "grader": grader, **more}))
    (folder / "items.csv").write_text(table)
    return folder


@pytest.fixture
def folder(tmp_path):
    return lambda table, grader, **more: write(tmp_path / "task", table, grader, **more)


def graded(task, key, text):
    return task.grade(next(item for item in task.items() if item.key == key), text)


@pytest.mark.parametrize(
    ("key", "text", "grade"),
    [
        ("sum", "12 + 7 = 19.", Grade("19", True)),
        ("sum", "The answer is 12 + 7 = 20", Grade("20", False)),
        ("sum", "\\boxed{19.0}", Grade("19", True)),
        ("sum", "19 or 20", Grade(None, False)),
        ("sum", "1. Add 12 and 7.\n2. This gives 19", Grade("19", True)),
        ("sum", "I do not know.", Grade(None, False)),
        ("sum", "9" * 10_000, Grade(None, False)),
        ("half", "It is 1.50", Grade("3/2", True)),
        ("half", "3/2", Grade("3/2", True)),
        ("large", "3000 m", Grade("3000", True)),
        ("large", "-3,000", Grade("-3000", False)),
    ],
)
def test_numbers_are_graded_by_value(folder, key, text, grade):
    assert graded(load(folder(NUMBERS, "number")), key, text) == grade


@pytest.mark.parametrize(
    ("table", "key", "text", "grade"),
    [
        (CHOICES, "capital", "The answer is (A).", Grade("A", True)),
        (CHOICES, "capital", "Not a simple matter: **B**", Grade("B", False)),
        (CHOICES, "capital", "A or B", Grade(None, False)),
        (CHOICES, "colour", "It is Blue, not green.", Grade("blue", True)),
        (CHOICES, "colour", "It is dark\ngreen", Grade("dark green", False)),
        (WORDS, "a", "**Yes.** It follows.", Grade("yes", True)),
        (WORDS, "b", "I know. Yes", Grade("yes", False)),
        (WORDS, "a", "perhaps", Grade(None, False)),
    ],
)
def test_a_choice_is_graded_by_its_name(folder, table, key, text, grade):
    assert graded(load(folder(table, "choice")), key, text) == grade


@pytest.mark.parametrize(
    ("key", "text", "correct"),
    [
        ("city", "Washington, D.C.", True),
        ("city", "It has a mall.\n\nThe answer is **washington,  d.c.**", True),
        ("city", "The answer is Washington, D.C. It lies on the Potomac.", True),
        ("city", "The answer: Washington, D.C. or Paris", False),
        ("city", "The answer isn't Washington, D.C.", False),
        ("city", "\\boxed{\\text{Washington, D.C.}}", True),
        ("city", "Washington", False),
        ("order", "<answer>A then B</answer>", True),
        ("order", "a then b\nNo, wait.\nb then a", False),
    ],
)
def test_exact_answers_are_whole_lines(folder, key, text, correct):
    assert graded(load(folder(TEXTS, "exact")), key, text).correct is correct


def test_mathematics_is_graded_by_its_own_grader(folder):
    assert graded(load(folder(MATH, "math")), "root", "\\boxed{\\sqrt{2}, -\\sqrt{2}}").correct


@pytest.mark.parametrize("grader", ["number", "choice", "exact"])
@pytest.mark.parametrize(
    "text", ["9" * 100_000, "the answer is " * 9_000, "1 + " * 30_000, "{" * 100_000]
)
def test_a_text_of_any_length_is_read(folder, grader, text):
    task = load(folder("item,question,answer\na,b,1\nc,d,2\n", grader))
    assert task.grade(task.items()[0], text).correct is False


def test_a_number_of_a_prompt_that_is_no_item_is_graded_by_value(folder):
    task = load(folder(NUMBERS, "number"))
    assert task.grade(Item("mine", "new", "How many?", "1,000"), "1000.0").correct


def test_an_instruction_stands_below_each_question(folder):
    task = load(folder(WORDS, "choice", instruction="Answer yes or no."))
    assert [item.question for item in task.items()][1] == "Does it?\nAnswer yes or no."
    assert task.paraphrases(task.items()[1]) == ["Does it?"]


def test_other_columns_are_covariates(folder):
    items = load(folder(NUMBERS, "number")).items()
    assert [item.covariates["steps"] for item in items] == [1, 1, 2]
    assert all(item.covariates["question_characters"] == len(item.question) for item in items)


def test_a_changed_table_is_read_again(folder):
    before = load(folder(WORDS, "choice")).content
    again = load(folder(WORDS.replace("Does it?", "Is it?"), "choice"))
    assert again.items()[1].question == "Is it?"
    assert again.content != before


def test_times_and_covariates_may_change_without_asking_anew(folder):
    before = load(folder(NUMBERS, "number")).content
    assert load(folder(NUMBERS.replace("2.5", "2.6"), "number")).content == before
    assert load(folder(NUMBERS.replace("19", "20"), "number")).content != before


HOSTILE = """\ufeffitem,question,answer,choices,human_rt_s,steps
a,Yes?,yes,yes | no,1,1
a,No?,maybe,yes | no,1200 ms,1
b,Yes?,no,,-1,
,=1+1,,yes | no,,many
"""


def test_everything_that_is_wrong_is_said(folder, tmp_path):
    _, problems = check(folder(HOSTILE, "choice"))
    table = f"{tmp_path / 'task' / 'items.csv'}, "
    said = [problem.replace(table, "") for problem in problems]
    assert said == [
        "line 3: same item as line 2; remove one",
        "line 3: human_rt_s is '1200 ms', not a plain number such as 12 or 3.5",
        "line 4: same question as line 2; remove one",
        "line 4: empty steps; fill it in",
        "line 4: human_rt_s is -1; give seconds, above 0",
        "line 5: empty item; fill it in",
        "line 5: empty answer; fill it in",
        "line 5: steps is 'many', not a plain number such as 12 or 3.5",
        "line 3: answer 'maybe' is not among the choices, or is no single one; mend it",
    ]


@pytest.mark.parametrize(
    ("table", "grader", "message"),
    [
        ("item,question\na,b\n", "exact", "items.csv: no column answer; found: item, question"),
        ("item,question,answer\na,b,c,d\n", "exact", "line 2: 4 cells under 3 columns"),
        ("item,question,answer\na,b,c\n", "number", "answer 'c' is no number such as 12"),
        ("item,question,answer\na,b,...\n", "exact", "answer '...' is longer than a line, or no"),
        (CHOICES, "exact", "'choices' is of 'grader: choice'"),
        (MANY, "choice", "101 different answers are too many choices; give each item its own"),
        (WORDS, "fuzzy", "grader 'fuzzy' is not known; use exact, choice, number, math"),
    ],
)
def test_what_is_wrong_with_a_task_is_one_sentence(folder, table, grader, message):
    with pytest.raises(UserError, match=message):
        load(folder(table, grader))


def test_a_refusal_counts_what_else_is_wrong(folder):
    with pytest.raises(UserError, match=r"line 2: empty answer; fill it in \(1 more: handan task"):
        load(folder("item,question,answer\na,b,\nb,c,\n", "exact"))


def test_check_prints_all_problems_and_refuses(folder, capsys):
    task = folder(HOSTILE, "choice")
    with pytest.raises(UserError, match=r"mend what is said above \(9 in all\)"):
        command(["task", "check", str(task)])
    assert len(capsys.readouterr().out.splitlines()) == 9


def test_check_shows_what_is_asked_and_how(folder, capsys):
    command(["task", "check", str(folder(NUMBERS, "number", instruction="A number."))])
    printed = capsys.readouterr().out
    assert "task 'mine', 3 items\nanswers: 19 (1), 1.5 | 3/2 (1), 3,000 (1)\n" in printed
    assert "human times: 2 of 3 items (67%), 2.5 to 3 s, median 2.75 s" in printed
    assert "item half, right is 1.5 | 3/2:\n  What is half of 3?\n  A number.\n" in printed


def test_check_shows_prompts_as_a_model_sees_them(tmp_path, capsys):
    own_study(tmp_path)
    words = ["task", "check", str(tmp_path / "sums"), "--tokenizer"]
    command([*words, str(ROOT / "handan" / "tiny" / "weights" / "base")])
    assert "\n  <bos> 0 0 0 0 + 0 0 0 0 =" in capsys.readouterr().out
    with pytest.raises(UserError, match="nowhere"):
        command([*words, str(tmp_path / "nowhere")])


@pytest.mark.parametrize("name", ["products", "products_fresh", "math"])
def test_a_packaged_name_is_refused(tmp_path, name):
    folder = write(tmp_path, WORDS, "choice")
    (folder / "task.yaml").write_text(f"{{name: {name}, grader: choice}}")
    with pytest.raises(UserError, match=f"'{name}' is a task of handan"):
        load(folder)


def own_study(folder):
    """Items and trials of sums in the words of the embedded model, and a suite of them."""
    pairs = [(a, b) for a in range(4) for b in range(4)]
    trials = ["task,item,participant,rt_s,correct"]
    items = ["item,question,answer"]
    for a, b in pairs:
        items.append(f"{a}+{b},0 0 {a >> 1} {a & 1} + 0 0 {b >> 1} {b & 1} =,{a + b}")
        for person in range(6):
            trials.append(f"sums,{a}+{b},p{person},{1 + 0.2 * (a + b) + 0.1 * person},true")
    task = write(folder / "sums", "\n".join(items) + "\n", "number", name="sums")
    (folder / "trials.csv").write_text("\n".join(trials) + "\n")
    trials_csv, output = str(folder / "trials.csv"), str(folder / "norms")
    command(["norms", "compute", trials_csv, "--source", "lab", "--output", output])
    suite = yaml.safe_load((SUITES / "tiny.yaml").read_text())
    table = folder / "norms" / "sums.lab.csv"
    suite["tasks"] = [{"task": str(task), "norms": str(table)}]
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite | {"samples": 1, "greedy": False}))
    return table


def test_a_study_of_ones_own_needs_tables_and_a_suite(tmp_path, capsys):
    table = own_study(tmp_path)
    suite = load_suite(tmp_path / "suite.yaml")
    items = suite_items(suite)
    own = norms.load("sums", str(table)).items
    assert len(items) == 16
    assert all(math.log(e.human_rt_s) == pytest.approx(own[e.item.key].mean_log_rt) for e in items)
    result = evaluate(engine(), suite, tmp_path / "run", "mine", "base", SINGLE)
    figures = result["models"]["mine"]["tasks"]["sums"]
    assert figures["ceiling"] is not None
    command(["align", str(tmp_path / "run" / "costs.csv"), "--bootstrap", "100"])
    assert "sums" in capsys.readouterr().out


def test_times_of_the_items_stand_in_for_norms_and_items_without_are_counted(tmp_path):
    task = write(tmp_path / "task", NUMBERS, "number")
    path = small_suite(tmp_path, tasks=[{"task": str(task)}], items_per_task=None)
    suite = load_suite(path)
    items = suite_items(suite)
    assert [(e.item.key, e.human_rt_s) for e in items] == [("sum", 2.5), ("large", 3)]
    covariates = [name for name in cost_columns(items) if name.startswith("covariate")]
    assert covariates == ["covariate_steps", "covariate_question_characters"]
    assert "'mine': 1 of 3 items have no human_rt_s and are not asked" in coverage_notes(suite)[0]
    write(task, WORDS, "choice")
    with pytest.raises(UserError, match="set 'norms' in the suite or fill in human_rt_s"):
        suite_items(load_suite(path))


def test_a_task_is_recorded_by_its_content_wherever_it_lies(tmp_path):
    own_study(tmp_path)
    before = load_suite(tmp_path / "suite.yaml").fingerprint
    (tmp_path / "sums").rename(tmp_path / "moved")
    moved = tmp_path / "moved.yaml"
    moved.write_text((tmp_path / "suite.yaml").read_text().replace("/sums\n", "/moved\n"))
    assert load_suite(moved).fingerprint == before
    table = tmp_path / "moved" / "items.csv"
    table.write_text(table.read_text().replace("=,6\n", "- ,6\n"))
    assert load_suite(moved).fingerprint != before
    assert load_suite(SUITES / "human.yaml").fingerprint == "5c4600d14f0985a3"


def test_two_tasks_of_one_name_are_refused(tmp_path):
    tasks = [{"task": str(write(tmp_path / of, NUMBERS, "number"))} for of in ("a", "b")]
    with pytest.raises(UserError, match="each only once"):
        load_suite(small_suite(tmp_path, tasks=tasks))


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("What is 12 + 7?", True),
        ("What is  12+7 ?\nAnswer with the number only.", True),
        ("Think hard. What is 12 + 7?", True),
        ("What is 12 + 7? Think hard.", True),
        ("What is 12 + 7 + 1?", False),
        ("What is 12 + 70?", False),
        ("What is 3 - 12 + 7?", False),
    ],
)
def test_an_item_among_the_prompts_is_refused(tmp_path, question, found):
    task = write(tmp_path / "task", NUMBERS, "number", instruction="Answer with the number only.")
    suite = load_suite(small_suite(tmp_path, tasks=[{"task": str(task)}], items_per_task=None))
    row = {"task": "math", "item": "x", "wording": "natural", "question": question, "answer": "1"}
    assert check_held_out([row], "here")["rows"] == 1
    if not found:
        packaged = check_held_out([row], "here")["evaluation_items"]
        assert check_held_out([row], "here", [suite])["evaluation_items"] == packaged + 3
        return
    with pytest.raises(UserError, match="here, line 1: 'x' of math is an evaluation item"):
        check_held_out([row], "here", [suite])


def test_a_task_can_be_the_prompts_themselves(folder):
    path = folder(CHOICES, "choice", instruction="Name one.")
    prompts = load_prompts(path)
    assert [prompt.item.key for prompt in prompts] == ["capital", "colour"]
    assert prompts[0].item.question.endswith("\nName one.")
    assert prompts[1].task.grade(prompts[1].item, "It is dark green.").answer == "dark green"
    before = prompts_hash(path)
    assert prompts_hash(folder(CHOICES.replace("sky", "sea"), "choice")) != before


def test_prompts_may_be_of_a_task_and_none_of_its_items(tmp_path):
    task = write(tmp_path / "task", NUMBERS, "number")
    rows = [
        {"task": str(task), "item": "x", "wording": "natural", "question": question, "answer": "20"}
        for question in ("What is 13 + 7?", "What is 12 + 7?")
    ]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:1]))
    (prompt,) = load_prompts(path)
    assert prompt.task.grade(prompt.item, "It is 20.").correct
    small_suite(tmp_path, tasks=[{"task": str(task)}], items_per_task=None, greedy=False)
    (tmp_path / "prompts.jsonl").write_text(json.dumps(rows[1]) + "\n")
    shared = arguments("grpo", tmp_path, tmp_path / "out", "--prompts", tmp_path / "prompts.jsonl")
    done = run_script(*shared, "--dry_run", "true", check=False)
    assert done.returncode == 2
    assert "prompts.jsonl, line 1: 'x' of" in done.stderr
