import csv
import io

import pytest
from simulated import csv_text, study

from handan.alignment.align import align
from handan.alignment.pairs import Comparisons
from handan.alignment.tables import alignment_text, arms_text, tables, write_tables
from handan.cli import command
from handan.errors import UserError
from handan.formatting import Table, as_csv, as_latex, as_markdown, as_text, known_only

ROLES = {("s", "t"): ("student", "teacher"), ("s", "b"): ("student", "base")}
COMPARED = Comparisons([("s", "t"), ("s", "b")], [("s", "b")], [("s", "t")], ROLES)
SMALL = Table(
    "small",
    "A small table",
    {"name": "text", "r": "estimate", "p": "p", "n": "count", "tokens": "tokens", "x": "number"},
    [
        ["a", (-0.314159, (-0.5, 0.0)), 0.0004, 12, 1234.56, 1.0],
        ["b", (None, None), None, None, None, None],
        ["c", (0.5, None), 0.04, 7, 3.0, -0.001],
    ],
    files_only=("x",),
)


@pytest.fixture(scope="module")
def result():
    rows = study({"s": 0.1, "t": 0.9, "b": 0.6}, tasks=("alpha", "beta", "gamma"), num_items=60)
    return align(rows, bootstrap=200, comparisons=COMPARED)


def test_text_has_a_title_aligned_columns_and_no_points_without_intervals():
    assert as_text(SMALL).splitlines() == [
        "A small table",
        "name                 r      p   n  tokens",
        "a     -.31 [-.50, .00]  <.001  12  1234.6",
        "b                    -      -           -",
        "c                  .50   .040   7     3.0",
    ]


def test_columns_in_which_nothing_is_known_can_be_left_out():
    unknown = SMALL._replace(
        rows=[[row[0], (None, None), None, 3, None, 1.0] for row in SMALL.rows]
    )
    assert as_text(known_only(unknown)).splitlines()[1].split() == ["name", "n"]
    assert as_text(unknown).splitlines()[1].split() == ["name", "r", "p", "n", "tokens"]


def test_csv_has_all_digits_and_bounds_of_their_own():
    header, first, second, third = csv.reader(io.StringIO(as_csv(SMALL)))
    assert header == ["name", "r", "r low", "r high", "p", "n", "tokens", "x"]
    assert first == ["a", "-0.314159", "-0.5", "0.0", "0.0004", "12", "1234.56", "1.0"]
    assert second == ["b", *[""] * 7]
    assert third[1:4] == ["0.5", "", ""]


def test_markdown_and_latex_hold_the_same_cells():
    markdown, latex = as_markdown(SMALL), as_latex(SMALL)
    assert markdown.startswith("A small table\n\n| name")
    assert "-.31 \\[-.50, .00\\]" in markdown
    assert latex.startswith("% A small table\n\\begin{tabular}{lrrrrr}\n\\toprule")
    assert "-.31 [-.50, .00]" in latex and "\\bottomrule" in latex


def test_every_table_is_written_in_three_formats(result, tmp_path):
    write_tables(result, tmp_path / "new" / "tables")
    names = {path.name for path in (tmp_path / "new" / "tables").iterdir()}
    made = {table.name for table in tables(result)}
    assert made == {
        *("alignment", "contrasts", "outcomes", "inflation", "levels", "over_pairs", "effort"),
        *("similarity", "checks", "power"),
    }
    assert names == {f"{name}.{suffix}" for name in made for suffix in ("csv", "md", "tex")}
    for path in (tmp_path / "new" / "tables").glob("*.csv"):
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        assert len({len(row) for row in rows}) == 1 and len(rows) > 1


def test_a_folder_that_cannot_be_written_is_told(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_tables(result, tmp_path / "file")


def test_the_terminal_gets_claims_of_known_roles_and_power_when_asked(result):
    text = alignment_text(result)
    assert "student s against teacher t, mean of human tasks: collapse (difference -" in text
    assert "student s against base b, mean of human tasks: negative transfer (" in text
    assert "Power: " not in text
    assert "Power: " in alignment_text(result, power=True)


def test_of_many_conditions_only_flagged_ones_are_printed_among_the_checks():
    rows = study({f"m{i}": 0.5 for i in range(9)}, tasks=tuple("abcde"), num_items=6)
    for row in rows:
        if (row["model"], row["task"]) == ("m3", "c"):
            row["status"] = "truncated"
    printed = alignment_text(align(rows, bootstrap=100))
    checks = next(part for part in printed.split("\n\n") if part.startswith("Checks"))
    assert len(checks.splitlines()) == 3 and "m3" in checks and "capped 100 %" in checks
    assert "1 of 45 conditions have more capped" in printed


def test_every_estimate_with_an_interval_shows_it(result):
    for table in tables(result):
        for row in table.rows:
            for kind, value in zip(table.kinds.values(), row, strict=True):
                if kind == "estimate" and value[0] is not None and value[1] is not None:
                    assert value[1][0] <= value[0] <= value[1][1]


def test_arms_are_one_row_each_with_their_greedy_twin_beside(result):
    rows = study({"base": 0.5, "base (T=0)": 0.9}, num_items=30)
    lines = arms_text(align(rows, bootstrap=100)).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("base") and lines[2].count("[") == 2


def test_compare_and_align_write_the_same_tables(tmp_path, capsys):
    rows = study({"a": 0.2, "b": 0.8}, num_items=30)
    (tmp_path / "costs.csv").write_text(csv_text(rows))
    folder = tmp_path / "tables"
    command(["align", str(tmp_path / "costs.csv"), "--bootstrap", "100", "--tables", str(folder)])
    assert f"wrote {folder}" in capsys.readouterr().out
    with (folder / "contrasts.csv").open(newline="") as file:
        first, *_ = csv.DictReader(file)
    assert (first["a"], first["b"], first["on"]) == ("a", "b", "alpha")
    assert float(first["difference low"]) <= float(first["difference"]) < 0
