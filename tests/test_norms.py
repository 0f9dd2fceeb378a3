"""The packaged norms: loading, and agreement with published figures."""

from dataclasses import FrozenInstanceError
from math import exp, isclose, log

import numpy as np
import pytest

from handan import norms
from handan.errors import UserError
from handan.tasks import TASKS
from handan.tasks.binary import borrows_of_subtraction, carries_of_addition


def test_every_task_has_a_default_source_that_is_available():
    assert list(dict.fromkeys(task for task, _ in norms.available())) == list(TASKS)
    assert len(norms.available()) == 12


def test_load_takes_the_default_source_unless_told_otherwise():
    assert norms.load("binary_addition").source == "iccm2019"
    assert norms.load("binary_subtraction").source == "iccm2019"
    assert norms.load("binary_addition", "cogsci2019").participants == 30


def test_norms_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        norms.load("products").reliability = 1.0


def test_unknown_names_are_told_with_the_known_ones():
    with pytest.raises(UserError, match=r"task 'sums'; there are norms for binary_addition, "):
        norms.load("sums")
    with pytest.raises(UserError, match="from 'iccm2019'; sources: cogsci2019"):
        norms.load("binary_modulo", "iccm2019")


def test_a_damaged_table_is_told_with_its_item(tmp_path):
    for name in ("summary.csv", "products.ds001486.csv"):
        text = (norms.PACKAGED / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text, encoding="utf-8")
    table = tmp_path / "products.ds001486.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[1] = "2*3=6,many,1.0,1.0,0.1,0.1,"
    table.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match=r"ds001486.csv, 2\*3=6: no number in column 'n'"):
        norms.load("products", directory=tmp_path)
    table.unlink()
    with pytest.raises(UserError, match=r"cannot be read .*written by 'handan norms compute'"):
        norms.load("products", directory=tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("item,n\na,1\n", "the columns are not task,source,items,"),
        ("", "empty; it needs a header and rows; tables of norms are written by"),
        (",".join(norms.SUMMARY_COLUMNS) + "\nt,s,3\n", "line 2: 3 cells under 15 columns"),
        (
            ",".join(norms.SUMMARY_COLUMNS) + "\nt,s,1,9,1,1,x,,,5,r,,,,\n",
            "t: no number in column 'rel",
        ),
        (
            ",".join(norms.SUMMARY_COLUMNS) + "\nt,s,1,9,1,1,nan,,,5,r,,,,\n",
            "t: no number in column 'r",
        ),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_damaged_summary_is_told(tmp_path, text, sentence):
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "summary.csv").write_bytes(content)
    (tmp_path / "t.s.csv").write_text(",".join(norms.ITEM_COLUMNS) + "\ni,1,,1,0,,\n")
    with pytest.raises(UserError, match=sentence):
        norms.load("t", directory=tmp_path)


@pytest.mark.parametrize(("task", "source"), norms.available())
def test_tables_are_consistent(task, source):
    table = norms.load(task, source)
    assert sum(norm.n for norm in table.items.values()) == table.trials_kept <= table.trials
    assert table.reliability_low < table.reliability < table.reliability_high
    assert table.splits >= 5000
    for norm in table.items.values():
        assert norm.n >= 1
        assert (norm.se_log_rt is None) == (norm.n == 1)
        assert exp(norm.mean_log_rt) <= norm.mean_rt_s * 1.001


def test_only_opposite_directions_have_no_accuracy():
    blank = [
        (task, key)
        for task, source in norms.available()
        for key, norm in norms.load(task, source).items.items()
        if norm.accuracy is None
    ]
    assert {task for task, _ in blank} == {"cardinal_directions"}
    assert ("cardinal_directions", "north+south") in blank
    assert len(blank) == 8


def carries(key):
    if "+" in key:
        return carries_of_addition(*(int(part, 2) for part in key.split("+")))
    return borrows_of_subtraction(*(int(part, 2) for part in key.split("-")))


@pytest.mark.parametrize(
    ("task", "source", "expected_s"),
    [
        ("binary_addition", "iccm2019", [3.93, 4.47, 5.04, 5.80, 6.43]),
        ("binary_subtraction", "iccm2019", [3.61, 5.34, 7.31, 9.00]),
        ("binary_addition", "cogsci2019", [3.80, 6.12, 9.04, 10.53, 11.58]),
        ("binary_subtraction", "cogsci2019", [4.14, 8.80, 13.02, 17.59]),
    ],
)
def test_mean_response_times_by_carries_are_the_published_ones(task, source, expected_s):
    items = norms.load(task, source).items
    for count, expected in enumerate(expected_s):
        group = [norm for key, norm in items.items() if carries(key) == count]
        total = sum(norm.n * norm.mean_rt_s for norm in group)
        assert isclose(total / sum(norm.n for norm in group), expected, abs_tol=0.0055)


@pytest.mark.parametrize(("task", "r"), [("binary_addition", 0.85), ("binary_subtraction", 0.90)])
def test_carries_alone_correlate_with_log_response_time_as_published(task, r):
    items = norms.load(task).items
    x = [carries(key) for key in items]
    y = [norm.mean_log_rt for norm in items.values()]
    assert isclose(np.corrcoef(x, y)[0, 1], r, abs_tol=0.0055)


def test_geometric_means_of_the_syllogisms_are_the_published_ones():
    means_s = [exp(norm.mean_log_rt) for norm in norms.load("syllogisms").items.values()]
    assert isclose(min(means_s), 17.0, abs_tol=0.05)
    assert isclose(max(means_s), 32.5, abs_tol=0.05)


@pytest.mark.parametrize(
    ("task", "source", "expected"),
    [
        ("binary_addition", "iccm2019", 0.85),
        ("binary_subtraction", "iccm2019", 0.95),
        ("binary_addition", "cogsci2019", 0.80),
        ("binary_subtraction", "cogsci2019", 0.90),
        ("binary_division", "cogsci2019", 0.70),
        ("binary_modulo", "cogsci2019", 0.69),
        ("products", "ds001486", 0.97),
        ("differences", "ds001486", 0.94),
        ("syllogisms", "brand_ragni_2023", 0.76),
        ("cardinal_directions", "ragni_2018", 0.66),
    ],
)
def test_reliabilities_agree_with_those_computed_by_hand(task, source, expected):
    # Multiplication and verification differ by more; the README of the norms says why.
    assert isclose(norms.load(task, source).reliability, expected, abs_tol=0.02)


def test_means_are_in_seconds_and_natural_logarithms():
    norm = norms.load("binary_addition").items["0000+0000"]
    assert 1 < norm.mean_rt_s < 10
    assert log(1) < norm.mean_log_rt < log(norm.mean_rt_s)


def test_readme_shows_the_packaged_reliabilities():
    text = (norms.PACKAGED / "README.md").read_text(encoding="utf-8")
    for task, source in norms.available():
        table = norms.load(task, source)
        interval = f"[{table.reliability_low:.2f}, {table.reliability_high:.2f}]"
        shown = (
            f"| {task} | {source} | {len(table.items)} | {table.participants} | "
            f"{table.trials_kept} / {table.trials} | {table.reliability:.2f} {interval} |"
        )
        assert shown in text
