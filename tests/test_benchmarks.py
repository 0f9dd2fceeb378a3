"""Published sets of mathematics become tasks of one's own."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from embedded import SUITES

from handan.cli import command
from handan.errors import UserError
from handan.evaluation.suite import load_suite, suite_items
from handan.tasks import own_task

GSM8K = [
    {"question": "How many are 2 + 3?", "answer": "2 + 3 = <<2+3=5>>5 are there.\n#### 5"},
    {"question": "And twice 500?", "answer": "One.\nTwo.\nThree.\n#### 1,000"},
]
MATH500 = [
    {
        "problem": "Convert the point $(0,3)$ to polar coordinates.",
        "solution": "...",
        "answer": r"\left( 3, \frac{\pi}{2} \right)",
        "subject": "Precalculus",
        "level": 2,
        "unique_id": "test/precalculus/807.json",
    }
]
AIME = [
    {
        "id": 84,
        "problem": "Find it.",
        "solution": "...",
        "answer": "033",
        "url": "https://artofproblemsolving.com/wiki/index.php/2024_AIME_II_Problems/Problem_14",
        "year": "2024",
    }
]


def fetched(folder, name, rows, suffix="jsonl"):
    path = folder / f"{name}.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command(["task", "fetch", name, "--from", str(path), "--output", str(folder / name)])
    return own_task.load(folder / name)


@pytest.mark.parametrize(
    "name, rows, keys, costs, right, wrong",
    [
        ("gsm8k", GSM8K, ["0001", "0002"], [1, 3], "The answer is 5.", "The answer is 6."),
        ("math500", MATH500, ["test/precalculus/807.json"], [2], r"\boxed{(3, \pi/2)}", "3"),
        ("aime2024", AIME, ["84"], [14], r"So $\boxed{33}$.", r"\boxed{34}"),
    ],
)
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_set_is_asked_graded_and_ordered_by_difficulty(
    tmp_path, name, rows, keys, costs, right, wrong, suffix
):
    task = fetched(tmp_path, name, rows, suffix)
    first = task.items()[0]
    assert task.grade(first, right).correct and not task.grade(first, wrong).correct
    assert first.question.endswith(r"put your final answer within \boxed{}.")
    suite = yaml.safe_load((SUITES / "human.yaml").read_text())
    suite |= {"name": "side", "tasks": [{"task": str(tmp_path / name)}]}
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(suite))
    items = suite_items(load_suite(tmp_path / "suite.yaml"))
    assert [entry.item.key for entry in items] == keys
    assert [entry.analytic_cost for entry in items] == costs
    assert {entry.human_rt_s for entry in items} == {None}


def test_scores_of_others_are_told_with_their_source(tmp_path, capsys):
    fetched(tmp_path, "math500", MATH500)
    printed = capsys.readouterr().out
    assert "83.9  DeepSeek-R1-Distill-Qwen-1.5B" in printed
    assert "temperature 0.6" in printed and "github.com/deepseek-ai/DeepSeek-R1" in printed


@pytest.mark.parametrize(
    "rows, sentence",
    [
        (GSM8K, r"line 1: does not have what this set has in .*unique_id"),
        ([MATH500[0] | {"level": "?"}], "does not have what this set has in .*level"),
        ([MATH500[0] | {"answer": ""}], "does not have what this set has in .*answer"),
    ],
)
def test_rows_of_another_layout_are_one_sentence(tmp_path, rows, sentence):
    with pytest.raises(UserError, match=sentence):
        fetched(tmp_path, "math500", rows)
    assert not (tmp_path / "math500").exists()


def test_a_set_never_overwrites_and_a_missing_file_is_one_sentence(tmp_path):
    fetched(tmp_path, "gsm8k", GSM8K)
    with pytest.raises(UserError, match="is there already; choose another --output"):
        fetched(tmp_path, "gsm8k", GSM8K)
    for name in ("none.jsonl", "none.parquet"):
        words = ["task", "fetch", "gsm8k", "--from", name, "--output", str(tmp_path / "x")]
        with pytest.raises(UserError, match=f"{name}: cannot be"):
            command(words)
    assert not Path(tmp_path / "x").exists()
