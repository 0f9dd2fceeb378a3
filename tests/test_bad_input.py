"""Whatever is wrong with a costs.csv: one line on stderr and exit code 2, or a treatment."""

import csv
import json

import pytest

from handan.cli import command
from handan.errors import run_main

COLUMNS = (
    "model,task,item,sample,reasoning_tokens,human_rt_s,correct,status,looping,step,prompt_tokens,"
    "answer_tokens,norms,oracle_tokens,counted_by,covariate_steps"
)


def rows(*changes, count=8, columns=COLUMNS):
    """A good file of eight items with the changes made in its first rows."""
    lines = [columns]
    for index in range(max(count, len(changes))):
        cells = {
            "model": "m",
            "task": "add",
            "item": f"i{index}",
            "sample": "0",
            "reasoning_tokens": str(20 + 7 * index % 31),
            "human_rt_s": str(1 + index / 4),
            "correct": "true",
            "status": "complete",
        }
        cells |= changes[index] if index < len(changes) else {}
        lines.append(",".join(cells.get(name, "") for name in columns.split(",")))
    return "\n".join(lines) + "\n"


def one(**cell):
    return rows(cell)


BAD = {
    "empty": ("", "empty; it needs a header"),
    "blank lines only": ("\n\n  \n", "empty"),
    "byte order mark only": ("\ufeff", "empty"),
    "header only": (COLUMNS + "\n", "no rows under the header"),
    "semicolons": (rows().replace(",", ";"), "separated by ';'"),
    "tabs": (rows().replace(",", "\t"), r"separated by '\t'"),
    "pipes": (rows().replace(",", "|"), "separated by '|'"),
    "not UTF-8": (rows().encode() + b"m,add,\xe9,0,3,1,,,,,,,,,,\n", "line 10: not UTF-8"),
    "UTF-16": (rows().encode("utf-16"), "not UTF-8"),
    "a NUL byte": (rows().replace("i3", "i\x003"), "line 5: a NUL byte"),
    "a binary file": (b"\x89PNG\r\n\x1a\n\0\0\0", "not UTF-8"),
    "an open quote": (rows().replace("i3", '"i3'), "not valid CSV"),
    "a missing column": (rows(columns="model,task,item,human_rt_s"), "no column reasoning_tokens"),
    "no response times": (rows(columns="task,item,reasoning_tokens"), "no column human_rt_s or"),
    "a repeated column": (rows().replace("sample", "item", 1), "column 'item' appears twice"),
    "a thousand columns": (",".join(f"c{i}" for i in range(1200)) + "\n1\n", "1200 columns"),
    "too few cells": (rows() + "m,add,x,0,3\n", "line 10: 5 cells under 16 columns"),
    "too many cells": (rows() + "m,add," + ",".join("123456789abcdef") + "\n", "17 cells under"),
    "an empty task": (one(task=" "), "line 2: empty task"),
    "an empty item": (one(item=""), "line 2: empty item"),
    "an empty model": (one(model=""), "line 2: empty model"),
    "empty tokens": (one(reasoning_tokens=""), "line 2: empty reasoning_tokens"),
    "empty time": (one(human_rt_s=""), "fill in one of human_rt_s and analytic_cost"),
    "NaN tokens": (one(reasoning_tokens="nan"), "reasoning_tokens is 'nan', not a plain number"),
    "infinite time": (one(human_rt_s="inf"), "human_rt_s is 'inf', not a plain number"),
    "overflowing time": (one(human_rt_s="1e999"), "human_rt_s is '1e999', not a plain number"),
    "negative tokens": (one(reasoning_tokens="-3"), "reasoning_tokens is -3; it is a count"),
    "a minus of typesetters": (one(human_rt_s="\u22123"), "not a plain number"),
    "tokens with a unit": (one(reasoning_tokens="12 tokens"), "not a plain number"),
    "tokens in Arabic digits": (one(reasoning_tokens="١٢"), "not a plain number"),
    "hexadecimal tokens": (one(reasoning_tokens="0x1F"), "not a plain number"),
    "thousands separators": (one(reasoning_tokens='"1,024"'), "'1,024', not a plain number"),
    "a decimal comma": (one(human_rt_s='"3,5"'), "'3,5', not a plain number"),
    "a boolean for tokens": (one(reasoning_tokens="True"), "'True', not a plain number"),
    "huge tokens": (one(reasoning_tokens="9" * 12), "it is a count, 0 to 1e+09"),
    "zero time": (one(human_rt_s="0"), "human_rt_s is 0; logarithms need a positive"),
    "negative time": (one(human_rt_s="-2"), "human_rt_s is -2"),
    "a time of microseconds": (one(human_rt_s="0.0000004"), "it is in seconds"),
    "a time of days": (one(human_rt_s="5000000"), "it is in seconds"),
    "seconds and milliseconds": (one(human_rt_s="2300"), "two units in one task?"),
    "an unknown status": (one(status="done"), "status is 'done'; use complete"),
    "an unknown truth": (one(correct="maybe"), "correct is 'maybe'; use true"),
    "an unknown loop": (one(looping="often"), "looping is 'often'; use true"),
    "a negative step": (one(step="-5"), "step is -5; it is a whole number"),
    "half a step": (one(step="2.5"), "step is 2.5"),
    "status against tokens": (one(status="no_reasoning"), "status no_reasoning with 20"),
    "a negative prompt": (one(prompt_tokens="-1"), "prompt_tokens is -1"),
    "words for a covariate": (one(covariate_steps="many"), "covariate_steps is 'many'"),
    "a covariate that contradicts itself": (
        rows(
            {"covariate_steps": "1"},
            {"item": "i0", "sample": "1", "covariate_steps": "2"} | {"human_rt_s": "1.0"},
        ),
        "covariate_steps of item 'i0' is 2 but 1 at",
    ),
    "the same row twice": (rows({}, {"item": "i0", "human_rt_s": "1.0"}), "same model, task, item"),
    "two times for an item": (
        rows({}, {"item": "i0", "sample": "1", "human_rt_s": "2"}),
        "item 'i0' costs people 2 but 1 at",
    ),
    "two units of counting": (
        rows({"counted_by": "usage"}, {"counted_by": "characters"}),
        "costs of task 'add' are characters but tokens at",
    ),
    "two norms of a task": (rows({"norms": "a"}, {"norms": "b"}), "norms of task 'add' are"),
    "unknown norms": (rows(*[{"norms": "nobody2020"}] * 8), "no human norms for task 'add'"),
    "some oracle lengths": (rows({"oracle_tokens": "5"}), "oracle_tokens is empty but given"),
    "a cell of many letters": (one(item="x" * 20_000), "item has 20000 characters"),
    "a cell of a million letters": (one(item="x" * 1_000_000), "field larger than field limit"),
}


def handan(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        run_main(lambda: command([str(word) for word in arguments]))
    return caught.value.code, capsys.readouterr()


@pytest.mark.parametrize("content, sentence", BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_exit_code_two(tmp_path, capsys, content, sentence):
    path = tmp_path / "costs.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, streams = handan(capsys, "align", path, "--bootstrap", "100")
    assert code == 2
    assert streams.out == ""
    assert streams.err.count("\n") == 1 and streams.err.startswith("handan: error: ")
    assert sentence in streams.err
    assert len(streams.err) < 600


def test_there_are_forty_kinds():
    assert len(BAD) >= 40


@pytest.mark.parametrize(
    "value",
    [
        ("--bootstrap", "5"),
        ("--bootstrap", "10000000"),
        ("--seed", "-1"),
        ("--reference", "nobody"),
        ("--equivalence_bound", "-0.1"),
        ("--equivalence_bound", "2"),
    ],
)
def test_settings_out_of_range_are_one_line(tmp_path, capsys, value):
    path = tmp_path / "costs.csv"
    path.write_text(rows())
    code, streams = handan(capsys, "align", path, *value)
    assert (code, streams.out, streams.err.count("\n")) == (2, "", 1)


TREATED = {
    "two ways of counting": (
        rows(*[{"counted_by": "usage"}] * 7, {"counted_by": "retokenized"}),
        "tokens counted in more than one way: retokenized + usage",
    ),
    "one item": (rows(count=1), "1 items; a correlation needs 12"),
    "eleven items": (rows(count=11), "11 items; a correlation needs 12"),
    "constant tokens": (
        rows(*[{"reasoning_tokens": "7"}] * 12),
        "constant cost or demand, so no correlation",
    ),
    "constant times": (rows(*[{"human_rt_s": "2"}] * 12), "constant cost or demand"),
    "zero tokens": (rows({"reasoning_tokens": "0", "status": ""}), "1 items without a thinking"),
    "unknown columns": (rows(columns=COLUMNS + ",mood"), "ignored unknown columns: mood"),
    "fractions of tokens": (
        rows({"reasoning_tokens": "3.5"}),
        "1 rows have fractions of a token and are taken as means",
    ),
    "no samples": (
        rows(
            {}, {"item": "i0", "human_rt_s": "1.0"}, columns="task,item,reasoning_tokens,human_rt_s"
        ),
        "1 rows that repeat an item were counted as its further samples",
    ),
}


@pytest.mark.parametrize("content, note", TREATED.values(), ids=TREATED)
def test_poor_input_is_treated_and_a_note_says_how(tmp_path, capsys, content, note):
    path, output = tmp_path / "costs.csv", tmp_path / "out.json"
    path.write_text(content)
    code, streams = handan(capsys, "align", path, "--bootstrap", "200", "--output", output)
    assert (code, streams.err) == (0, "")
    assert note in streams.out
    assert any(note in text for text in json.loads(output.read_text())["notes"])


def test_a_byte_order_mark_and_windows_lines_change_nothing(tmp_path, capsys):
    results = []
    for name, content in (
        ("plain.csv", rows().encode()),
        ("windows.csv", b"\xef\xbb\xbf" + rows().replace("\n", "\r\n").encode()),
    ):
        (tmp_path / name).write_bytes(content)
        output = tmp_path / f"{name}.json"
        handan(capsys, "align", tmp_path / name, "--bootstrap", "200", "--output", output)
        results.append(json.loads(output.read_text())["models"])
    assert results[0] == results[1]


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1+1", "-1", "@SUM(A1)"])
def test_a_name_that_is_a_formula_stays_text_in_every_table(tmp_path, capsys, name):
    path = tmp_path / "costs.csv"
    path.write_text(rows(*[{"model": name}] * 8) + rows(count=8).split("\n", 1)[1])
    code, _ = handan(capsys, "align", path, "--bootstrap", "200", "--tables", tmp_path / "t")
    assert code == 0
    cells = []
    for table in (tmp_path / "t").glob("*.csv"):
        with table.open(newline="") as file:
            cells += [cell for row in csv.reader(file) for cell in row]
    assert f"'{name}" in cells and name not in cells


def test_names_are_escaped_in_markdown_and_latex(tmp_path, capsys):
    name = "<b>|50%_&$#{x}~^"
    path = tmp_path / "costs.csv"
    path.write_text(rows(*[{"model": name}] * 8))
    handan(capsys, "align", path, "--bootstrap", "200", "--tables", tmp_path / "t")
    markdown = (tmp_path / "t" / "alignment.md").read_text()
    assert r"&lt;b&gt;&#124;50%\_&amp;<span>$</span><span>#</span>{x}\~^" in markdown
    latex = (tmp_path / "t" / "alignment.tex").read_text()
    assert r"50\%\_\&\$\#\{x\}" in latex and "%_" not in latex
