"""A task of one's own from a table: no code, its grader, its norms, what is refused."""

import math

import pytest
import yaml
from embedded import SUITES, engine

from handan import norms
from handan.cli import command
from handan.errors import UserError
from handan.evaluation.evaluate import evaluate
from handan.evaluation.suite import load_suite, suite_items
from handan.launch import SINGLE
from handan.tasks.base import Grade
from handan.tasks.table_task import table_task

NUMBERS = """item,question,answer,steps
sum,What is 12 + 7?,19,1
half,What is half of 3?,1.5 | 3/2,1
large,How many metres are 3 km?,"3,000",2
"""
CHOICES = """item,question,answer,options
capital,"Capital of France? (A) Paris (B) Rome",A,A | B
colour,Is the sky blue or green?,blue,blue | green | dark green
"""
WORDS = 'item,question,answer\na,"Does it follow?",yes\nb,Does it?,no\n'


@pytest.fixture
def task(tmp_path):
    def make(table, name="mine"):
        path = tmp_path / "items.csv"
        path.write_text(table)
        return table_task(name, path)

    return make


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
        ("half", "It is 1.50", Grade("3/2", True)),
        ("half", "3/2", Grade("3/2", True)),
        ("large", "3000 m", Grade("3000", True)),
        ("large", "-3,000", Grade("-3000", False)),
    ],
)
def test_numbers_are_graded_by_value(task, key, text, grade):
    assert graded(task(NUMBERS), key, text) == grade


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
def test_choices_and_words_are_graded_by_name(task, table, key, text, grade):
    assert graded(task(table), key, text) == grade


def test_other_columns_are_covariates(task):
    items = task(NUMBERS).items()
    assert [item.covariates["steps"] for item in items] == [1, 1, 2]
    assert all(item.covariates["question_characters"] == len(item.question) for item in items)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("item,question\na,b\n", "line 1: no column 'answer'; add it"),
        ("item,question,answer\na,b,\n", "line 2: empty answer"),
        ("item,question,answer\na,b,c\na,b,d\n", "line 3: same item as .*line 2"),
        ("item,question,answer,n\na,b,c,x\n", "line 2: n is 'x', not a plain number"),
        ("item,question,answer,options\na,b,c,d | e\n", "line 2: the answer 'c' cannot be read"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_sentence(task, table, message):
    with pytest.raises(UserError, match=message):
        task(table)


def test_a_packaged_name_is_refused(task):
    with pytest.raises(UserError, match="'products' is a task of handan"):
        task(WORDS, "products")


def own_study(folder):
    """Items and trials of sums in the words of the embedded model, and a suite of them."""
    pairs = [(a, b) for a in range(4) for b in range(4)]
    trials = ["task,item,participant,rt_s,correct"]
    items = ["item,question,answer"]
    for a, b in pairs:
        items.append(f"{a}+{b},0 0 {a >> 1} {a & 1} + 0 0 {b >> 1} {b & 1} =,{a + b}")
        for person in range(6):
            trials.append(f"sums,{a}+{b},p{person},{1 + 0.2 * (a + b) + 0.1 * person},true")
    (folder / "items.csv").write_text("\n".join(items) + "\n")
    (folder / "trials.csv").write_text("\n".join(trials) + "\n")
    trials_csv, output = str(folder / "trials.csv"), str(folder / "norms")
    command(["norms", "compute", trials_csv, "--source", "lab", "--output", output])
    suite = yaml.safe_load((SUITES / "tiny.yaml").read_text())
    table = folder / "norms" / "sums.lab.csv"
    suite["tasks"] = [
        {"task": "sums", "wording": "natural", "norms": str(table)}
        | {"items": str(folder / "items.csv")}
    ]
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


def test_a_table_changes_the_fingerprint_and_its_absence_does_not(tmp_path):
    own_study(tmp_path)
    suite = load_suite(tmp_path / "suite.yaml")
    moved = tmp_path / "moved.yaml"
    moved.write_text((tmp_path / "suite.yaml").read_text().replace("items.csv", "other.csv"))
    assert load_suite(moved).fingerprint != suite.fingerprint
    assert load_suite(SUITES / "human.yaml").fingerprint == "5c4600d14f0985a3"
