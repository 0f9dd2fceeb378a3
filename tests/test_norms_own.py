"""Norms from anyone's trials: what is read, cleaned, computed and refused."""

import math
import re

import numpy as np
import pytest
from build_norms import SOURCES
from human_trials import TRIALS, needs_trials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handan import norms
from handan.alignment.align import align
from handan.cli import command
from handan.errors import UserError, run_main
from handan.norms.compute import compute, compute_table
from handan.norms.trials import Cleaning, Trial, clean, read_trials, their_columns

# Numpy's warnings would be printed between the tables.
pytestmark = pytest.mark.filterwarnings("error")

HEADER = "task,item,participant,rt_s,correct"
SPLITS = ["--splits", "100"]


def simulated(
    rng,
    num_participants=24,
    num_items=120,
    item_sd=0.3,
    participant_sd=0.3,
    trial_sd=0.6,
    correct_rate=0.9,
):
    """Trials of a complete design, log normal around 3 s, and the items' true log times."""
    items = rng.normal(0, item_sd, num_items)
    trials = []
    for participant, offset in enumerate(rng.normal(0, participant_sd, num_participants)):
        log_rt = math.log(3) + offset + items + rng.normal(0, trial_sd, num_items)
        correct = rng.random(num_items) < correct_rate
        for item in range(num_items):
            name = f"i{item:03}"
            right = bool(correct[item])
            trials.append(Trial(f"p{participant}", name, math.exp(log_rt[item]), right))
    return trials, items


def true_reliability(
    num_trials, num_participants=24, item_sd=0.3, participant_sd=0.3, trial_sd=0.6
):
    """Of the item means, where each item has the trials of so many of the participants.

    Who is missing adds noise too: n of N people deviate from all N by variance (1/n - 1/N).
    """
    inverse = np.mean(1 / num_trials)
    noise = trial_sd**2 * inverse + participant_sd**2 * (inverse - 1 / num_participants)
    return item_sd**2 / (item_sd**2 + noise)


def csv_of(tasks, unit="rt_s"):
    factor = 1000 if unit == "rt_ms" else 1
    numbered = all(t.number is not None for trials in tasks.values() for t in trials)
    lines = [f"task,item,participant,{unit},correct" + (",trial" if numbered else "")]
    for task, trials in tasks.items():
        for t in trials:
            correct = "" if t.correct is None else str(t.correct).lower()
            number = f",{t.number:g}" if numbered else ""
            lines.append(f"{task},{t.item},{t.participant},{t.rt_s * factor!r},{correct}{number}")
    return "\n".join(lines) + "\n"


def written(folder, text, name="trials.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def small(num_participants=6, num_items=12, task="add", correct="true"):
    """Lines of a small complete design without noise."""
    return [
        f"{task},i{item},p{participant},{1 + item / 10 + participant / 7:.3f},{correct}"
        for participant in range(num_participants)
        for item in range(num_items)
    ]


def lines(*rows):
    return "\n".join([HEADER, *rows]) + "\n"


def tables_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_tables_are_written_in_the_packaged_layout_and_load(tmp_path, capsys):
    path = written(tmp_path, lines(*small(), *small(task="free", correct="")))
    output = tmp_path / "new" / "norms"
    command(["norms", "compute", str(path), "--source", "lab", "--output", str(output), *SPLITS])
    assert sorted(tables_in(output)) == ["add.lab.csv", "free.lab.csv", "summary.csv"]
    for name in ("summary.csv", "products.ds001486.csv"):
        own = name.replace("products.ds001486", "add.lab")
        header = (norms.PACKAGED / name).read_text(encoding="utf-8").splitlines()[0]
        assert (output / own).read_text(encoding="utf-8").splitlines()[0] == header
    assert norms.available(output) == [("add", "lab"), ("free", "lab")]
    table = norms.load("add", "lab", directory=output)
    assert (len(table.items), table.participants, table.trials, table.trials_kept) == (
        12,
        6,
        72,
        72,
    )
    assert table.items["i3"].n == 6
    assert math.isclose(
        table.items["i3"].mean_rt_s, np.mean([1.3 + p / 7 for p in range(6)]), abs_tol=1e-3
    )
    assert table.items["i3"].accuracy == 1.0
    assert norms.load("free", "lab", directory=output).items["i3"].accuracy is None
    printed = capsys.readouterr().out
    assert "add.lab: 72 trials of 6 participants on 12 items" in printed
    assert f"wrote {output}" in printed


def test_without_a_source_load_takes_the_first_of_the_folder(tmp_path):
    compute(written(tmp_path, lines(*small(task="products"))), "lab", tmp_path / "out", splits=50)
    assert norms.load("products", directory=tmp_path / "out").source == "lab"


@pytest.mark.parametrize("correct_rate", [1.0, 0.9, 0.6])
def test_reliability_is_the_true_one_of_simulated_people(tmp_path, correct_rate):
    # A single estimate has a standard deviation of .02 (.04 at 60 % correct), and where chance
    # divides the trials of an item it falls short a little.
    rng = np.random.default_rng(21)
    cleaning = Cleaning(1e-6, 1e6, correct_only=True)
    found, true = [], []
    for _ in range(12):
        trials, _ = simulated(rng, correct_rate=correct_rate)
        table = compute_table(tmp_path, "t", "s", trials, cleaning, 100, 0)
        found.append(table.reliability.value)
        true.append(true_reliability(np.array([row["n"] for row in table.items])))
    assert math.isclose(np.mean(found), np.mean(true), abs_tol=0.025)


def test_means_correlate_with_the_truth_as_the_ceiling_says(tmp_path):
    trials, items = simulated(np.random.default_rng(5), num_items=400)
    path = written(tmp_path, csv_of({"t": trials}))
    compute(path, "lab", tmp_path / "out", floor_s=0, ceiling_s=1e6, splits=200)
    table = norms.load("t", directory=tmp_path / "out")
    r = np.corrcoef(items, [norm.mean_log_rt for norm in table.items.values()])[0, 1]
    assert math.isclose(r, math.sqrt(table.reliability), abs_tol=0.02)


def test_more_participants_raise_reliability_as_spearman_and_brown_say(tmp_path):
    trials, _ = simulated(np.random.default_rng(8), 60, 400, correct_rate=1.0)
    cleaning = Cleaning(0, 1e6, correct_only=True)
    few = [t for t in trials if int(t.participant[1:]) < 15]
    small_study = compute_table(tmp_path, "t", "s", few, cleaning, 200, 0).reliability.value
    large_study = compute_table(tmp_path, "t", "s", trials, cleaning, 200, 0).reliability.value
    assert math.isclose(4 * small_study / (1 + 3 * small_study), large_study, abs_tol=0.02)


def test_seconds_and_milliseconds_give_the_same_tables(tmp_path):
    trials, _ = simulated(np.random.default_rng(1), 8, 20)
    for unit in ("rt_s", "rt_ms"):
        path = written(tmp_path, csv_of({"t": trials}, unit), f"{unit}.csv")
        compute(path, "lab", tmp_path / unit, splits=50)
    assert tables_in(tmp_path / "rt_s") == tables_in(tmp_path / "rt_ms")


def test_the_order_of_rows_and_columns_changes_nothing(tmp_path):
    trials, _ = simulated(np.random.default_rng(1), 8, 20)
    path = written(tmp_path, csv_of({"t": trials}))
    rows = [line.split(",")[::-1] for line in path.read_text().splitlines()]
    turned = "\n".join(",".join(row) for row in [rows[0], *rows[:0:-1]])
    compute(path, "lab", tmp_path / "a", splits=50)
    compute(written(tmp_path, turned, "turned.csv"), "lab", tmp_path / "b", splits=50)
    assert tables_in(tmp_path / "a") == tables_in(tmp_path / "b")


def test_other_tasks_of_the_file_change_no_table(tmp_path):
    first, _ = simulated(np.random.default_rng(1), 8, 20)
    second, _ = simulated(np.random.default_rng(2), 8, 20)
    both = written(tmp_path, csv_of({"b": second, "a": first}))
    compute(both, "lab", tmp_path / "both", splits=50)
    compute(written(tmp_path, csv_of({"a": first})), "lab", tmp_path / "one", splits=50)
    together = norms.load("a", directory=tmp_path / "both")
    assert together == norms.load("a", directory=tmp_path / "one")


def test_scored_tasks_use_correct_and_unscored_trials_only(tmp_path):
    rows = small()
    rows[0] = "add,i0,p0,50,false"
    rows[1] = "add,i1,p0,1.1,"
    path = written(tmp_path, lines(*rows))
    compute(path, "lab", tmp_path / "out", splits=50)
    table = norms.load("add", directory=tmp_path / "out")
    assert (table.trials, table.trials_kept) == (72, 71)
    assert (table.items["i0"].n, table.items["i1"].n) == (5, 6)
    assert math.isclose(table.items["i0"].accuracy, 5 / 6, abs_tol=1e-4)
    assert table.rule == "correct trials; 0.2 to 300 s"


def test_all_trials_uses_wrong_ones_too(tmp_path):
    path = written(tmp_path, lines("add,i0,p0,50,false", *small()[1:]))
    output = tmp_path / "out"
    arguments = ["norms", "compute", str(path), "--source", "lab", "--output", str(output)]
    command([*arguments, "--all_trials", *SPLITS])
    table = norms.load("add", directory=output)
    assert table.trials_kept == 72
    assert table.items["i0"].accuracy < 1
    assert table.rule == "all trials; 0.2 to 300 s"


def test_what_each_rule_leaves_out_is_printed_and_the_rule_recorded(tmp_path, capsys):
    rows = small(num_items=20)
    rows[0] = "add,i0,p0,0.1,true"
    rows[1] = "add,i1,p0,61,true"
    rows[2] = "add,i2,p0,1.2,false"
    rows[3] = "add,i3,p0,59,true"
    rows.append("add,rare,p1,1.5,true")
    path, output = written(tmp_path, lines(*rows)), tmp_path / "out"
    options = ["--floor_s", "0.5", "--ceiling_s", "60", "--trim_sd", "3.5", "--least_trials", "2"]
    arguments = ["norms", "compute", str(path), "--source", "lab", "--output", str(output)]
    command([*arguments, *options, *SPLITS])
    printed = capsys.readouterr().out
    assert (
        "left out: 1 under 0.5 s, 1 over 60 s, 1 with a wrong answer, 1 further than 3.5 SD from "
        "the participant's mean, 1 of items with under 2 trials left"
    ) in printed
    assert "kept: 116 trials (0 unscored) of 6 participants on 20 items" in printed
    assert "without a kept trial: 0 participants, 1 items" in printed
    assert "warning: --trim_sd cut 1.7% of the trials of the slower half of the items" in printed
    table = norms.load("add", directory=output)
    assert (table.trials, table.trials_kept, len(table.items)) == (119, 116, 20)
    assert table.rule == (
        "correct trials; 0.5 to 60 s; within 3.5 SD of the participant's mean log time; "
        "items with 2 trials or more"
    )


def test_trimming_goes_by_the_participants_own_mean():
    fast = [Trial("fast", f"i{i}", math.exp(0.01 * i), True) for i in range(20)]
    slow = [Trial("slow", f"i{i}", math.exp(3 + 0.01 * i), True) for i in range(20)]
    odd = Trial("fast", "odd", math.exp(3), True)
    cleaned = clean([*fast, odd, *slow], Cleaning(0.2, 300, True, trim_sd=3))
    assert cleaned.kept == [*fast, *slow]
    assert odd in cleaned.valid


def test_trimming_keeps_a_participant_without_spread():
    trials = [Trial("p", f"i{i}", 1.1, True) for i in range(7)] + [Trial("q", "i0", 9, True)]
    assert clean(trials, Cleaning(0.2, 300, True, trim_sd=1)).kept == trials


def test_trimming_cuts_hard_items_more_often_than_easy_ones():
    rng = np.random.default_rng(3)
    trials = [
        Trial(
            f"p{p}", "hard" if i >= 15 else "easy", math.exp((i >= 15) + rng.normal(0, 0.4)), True
        )
        for p in range(40)
        for i in range(20)
    ]
    kept = clean(trials, Cleaning(0, 1e6, True, trim_sd=2)).kept
    cut = {
        item: 1 - sum(t.item == item for t in kept) / sum(t.item == item for t in trials)
        for item in ("easy", "hard")
    }
    assert cut["hard"] > 3 * cut["easy"]


@pytest.mark.parametrize(("direction", "half"), [(1, "slower"), (-1, "faster")])
def test_trimming_tells_which_half_of_the_items_it_cuts(tmp_path, capsys, direction, half):
    rng = np.random.default_rng(4)
    far = direction * np.where(np.arange(20) < 3, 2.0, np.linspace(-0.5, 0.5, 20))
    rows = [
        f"add,i{item},p{p},{math.exp(2 + far[item] + rng.normal(0, 0.01)):.4f},1"
        for p in range(10)
        for item in range(20)
    ]
    compute(written(tmp_path, lines(*rows)), "lab", tmp_path / "out", trim_sd=1.5, splits=9)
    share = {"slower": "0.0%", "faster": "0.0%"} | {half: "30.0%"}
    assert (
        f"--trim_sd cut {share['slower']} of the trials of the slower half of the items and "
        f"{share['faster']} of the faster half"
    ) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (small(num_participants=3), "3 participants; halves need at least four"),
        (small(num_items=2), "the halves share under three items"),
        ([f"add,i{i},p{p},2,true" for p in range(5) for i in range(9)], "are all the same"),
        ([f"add,i{i},p{p},{1 + p},true" for p in range(5) for i in range(9)], "are all the same"),
        (
            [f"add,i{p}{i},p{p},{1 + i},true" for p in range(5) for i in range(9)],
            "share under three",
        ),
    ],
)
def test_an_undefined_reliability_is_empty_and_explained(tmp_path, capsys, rows, why):
    compute(written(tmp_path, lines(*rows)), "lab", tmp_path / "out", splits=50)
    assert why in capsys.readouterr().out
    assert ",,,,50,correct trials" in (tmp_path / "out" / "summary.csv").read_text()
    table = norms.load("add", directory=tmp_path / "out")
    assert (table.reliability, table.reliability_low, table.reliability_high) == (None, None, None)


def test_few_items_are_warned_about(tmp_path, capsys):
    trials, _ = simulated(np.random.default_rng(2), 20, 4, item_sd=1)
    compute(written(tmp_path, csv_of({"t": trials})), "lab", tmp_path / "out", splits=50)
    assert "warning: 4 items; with under ten the reliability says little" in capsys.readouterr().out
    table = norms.load("t", directory=tmp_path / "out")
    assert (table.reliability is None, table.reliability_low) == (False, None)


def test_list_shows_the_tables_of_a_folder_too(tmp_path, capsys):
    compute(written(tmp_path, lines(*small(num_participants=3))), "lab", tmp_path / "out", splits=9)
    capsys.readouterr()
    command(["norms", "list", "--norms", str(tmp_path / "out")])
    printed = capsys.readouterr().out.splitlines()
    (line,) = [line for line in printed if line.startswith("add ")]
    assert line.split()[:6] == ["add", "lab", "12", "3", "36", "-"]
    assert len([line for line in printed if line.startswith("binary_addition ")]) == 2


def test_alignment_takes_an_undefined_reliability_as_unknown(tmp_path):
    compute(written(tmp_path, lines(*small(num_participants=3))), "lab", tmp_path, splits=9)
    items = norms.load("add", directory=tmp_path).items
    rows = [
        {"task": "add", "item": item, "norms": "lab", "reasoning_tokens": 9 + index}
        | {"human_rt_s": 1.0 + index}
        for index, item in enumerate(items)
    ]
    task = align(rows, bootstrap=100, norms_dir=tmp_path)["models"]["model"]["tasks"]["add"]
    assert (task["reliability_human"], task["ceiling"]) == (None, None)


def test_a_second_call_keeps_the_rows_of_other_studies(tmp_path, capsys):
    path, output = written(tmp_path, lines(*small())), tmp_path / "out"
    other = written(tmp_path, lines(*small(task="sub")), "other.csv")
    for source, file in (("one", path), ("two", path), ("one", other), ("one", path)):
        compute(file, source, output, splits=50)
    assert norms.available(output) == [("add", "one"), ("add", "two"), ("sub", "one")]
    note = "summary.csv keeps the tables of earlier calls: add.two, sub.one\n"
    assert capsys.readouterr().out.endswith(note)


def test_a_summary_that_is_none_is_not_overwritten(tmp_path):
    other = written(tmp_path, "month,sales\nMay,3\n", "summary.csv")
    with pytest.raises(UserError, match=r"summary\.csv: the columns are not task,source,"):
        compute(written(tmp_path, lines(*small())), "lab", tmp_path, splits=50)
    assert other.read_text() == "month,sales\nMay,3\n"


def test_notes_name_unknown_columns_and_repeated_presentations(tmp_path):
    text = "mood,item,task,participant,rt_ms,\n" + "x,a,t,p,900,\nx,a,t,p,800,\nx,b,t,p,700,\n"
    trials, notes = read_trials(written(tmp_path, text))
    assert trials == {
        "t": [Trial("p", "a", 0.9, None), Trial("p", "a", 0.8, None), Trial("p", "b", 0.7, None)]
    }
    assert [note.partition(": ")[2] for note in notes] == [
        "ignored unknown columns: mood, (no name)",
        "1 rows repeat a participant and item of another row; they count as repeated presentations",
    ]


def test_spreadsheets_and_other_writers_are_understood(tmp_path):
    text = (
        "\ufeff" + HEADER + "\r\n" + 't," a, b ",p,1.5,TRUE\r\n\r\nt,c/d,p,2,0\r\nt,e,p,3,1.0\r\n'
    )
    trials, notes = read_trials(written(tmp_path, text))
    assert [(t.item, t.correct) for t in trials["t"]] == [
        ("a, b", True),
        ("c/d", False),
        ("e", True),
    ]
    assert notes == []


GOOD = "add,a,p,1.5,true"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "trials.csv: empty; it needs a header and rows"),
        (" \n\n", "trials.csv: empty; it needs a header and rows"),
        (HEADER + "\n", "trials.csv: no rows under the header; add some"),
        (HEADER.replace(",", ";"), "line 1: columns are separated by ';'; save it with commas"),
        (HEADER.replace(",", "\t"), r"columns are separated by '\t'"),
        (lines(GOOD, "add,é,p,1,").encode("latin-1"), "trials.csv, line 3: not UTF-8; save the"),
        (lines(GOOD).encode("utf-16"), "trials.csv, line 1: not UTF-8"),
        ("task,item,rt_s\na,b,1\n", "no column participant; found: task, item, rt_s"),
        ("task,item,participant\na,b,c\n", "no column rt_s (seconds) or rt_ms (milliseconds); add"),
        ("task,item,participant,rt_s,rt_ms\na,b,c,1,1000\n", "rt_s and rt_ms; remove one of them"),
        ("task,item,participant,rt_s,item\na,b,c,1,b\n", "line 1: column 'item' appears twice"),
        (lines(GOOD, "add,a,p,1.5"), "line 3: 4 cells under 5 columns"),
        (lines(GOOD, "add,a,p,1,5,true"), "line 3: 6 cells under 5 columns; quote cells with"),
        (lines(GOOD, 'add,"a,p,1.5,true'), "line 3: not valid CSV (unexpected end of data)"),
        (lines(",a,p,1.5,true"), "line 2: empty task; fill it in or remove the row"),
        (lines("add, ,p,1.5,true"), "line 2: empty item; fill it in or remove the row"),
        (lines("add,a,,1.5,true"), "line 2: empty participant; fill it in"),
        (lines("add,a,p,,true"), "line 2: empty rt_s; fill it in or remove the row"),
        (lines("add,a,p,NaN,true"), "line 2: rt_s is 'NaN', not a plain number such as 12 or 3.5"),
        (lines("add,a,p,inf,true"), "line 2: rt_s is 'inf', not a plain number"),
        (lines("add,a,p,1e999,true"), "line 2: rt_s is '1e999', not a plain number"),
        (lines('add,a,p,"1,5",true'), "line 2: rt_s is '1,5', not a plain number"),
        (lines("add,a,p,-1.5,true"), "line 2: rt_s is -1.5; a response time is positive"),
        (lines("add,a,p,0,true"), "line 2: rt_s is 0; a response time is positive"),
        (lines("add,a,p,1e-999,true"), "line 2: rt_s is 1e-999; a response time is positive"),
        (lines("add,a,p,1,yes"), "line 2: correct is 'yes'; use true, false, 1, 0, or leave it"),
        (lines("add,a,p,1850,1", GOOD, "add,a,p,900,1"), "median rt_s of task 'add' is 900, prob"),
        (lines("add,a,p,1850,1").replace("rt_s", "rt_ms").replace("1850", "1.85"), "is 1.85, prob"),
        (lines("../x,a,p,1.5,true"), "line 2: task '../x' names a file, so it cannot have /"),
        (lines("a/b,a,p,1.5,true"), "line 2: task 'a/b' names a file, so it cannot have /; use"),
        (lines("..,a,p,1.5,true"), "line 2: task '..' names a file, so it cannot have . in front"),
        (lines("a\\b,a,p,1.5,true"), "so it cannot have \\"),
        (lines("a\x00b,a,p,1.5,true"), "line 2: a NUL byte"),
        (lines("a\x07b,a,p,1.5,true"), "has a control or invisible character; remove it"),
        (lines("add,a\x1b[2J,p,1.5,true"), "line 2: item 'a?[2J' has a control or invisible"),
        (lines('add,"a\nb",p,1.5,true'), "line 3: item 'a?b' has a control or invisible"),
        (lines("add,a,p\u202e,1.5,true"), "line 2: participant 'p?' has a control or invisible"),
        (lines(GOOD, "sub,a,p,0.1,1"), "no usable trials for sub.lab (1 under 0.2 s, 0 over 300 s"),
        (lines(*(row.replace("true", "false") for row in small())), "72 with a wrong answer); add"),
    ],
)  # fmt: skip
def test_a_wrong_file_gets_one_sentence_and_leaves_nothing(tmp_path, capsys, text, sentence):
    path, output = written(tmp_path, text), tmp_path / "out"
    arguments = ["norms", "compute", str(path), "--source", "lab", "--output", str(output), *SPLITS]
    with pytest.raises(SystemExit) as caught:
        run_main(lambda: command(arguments))
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert error.count("\n") == 1 and error.startswith("handan: error: ")
    assert sentence in error
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--splits", "0"], "splits is 0; give at least 1"),
        (["--seed", "-1"], "seed is -1; give 0 or more"),
        (["--floor_s", "-1"], "floor_s is -1 and ceiling_s 300; give a floor of at least 0"),
        (["--floor_s", "nan"], "floor_s is nan and ceiling_s 300"),
        (["--floor_s", "5", "--ceiling_s", "5"], "floor_s is 5 and ceiling_s 5"),
        (["--trim_sd", "0"], "trim_sd is 0; give a positive number or leave it out"),
        (["--least_trials", "0"], "least_trials is 0; give at least 1"),
        (["--least_trials", "99"], "72 of items with under 99 trials left"),
        (["--source", "../lab"], "--source: source '../lab' names a file, so it cannot have /"),
        (["--source", "lab.1"], "--source: source 'lab.1' names a file, so it cannot have ."),
        (["--source", ""], "--source: empty source"),
    ],
)
def test_a_wrong_option_gets_one_sentence(tmp_path, options, sentence):
    path, output = written(tmp_path, lines(*small())), tmp_path / "out"
    arguments = ["norms", "compute", str(path), "--source", "lab", "--output", str(output)]
    with pytest.raises(UserError) as caught:
        command([*arguments, *options])
    assert sentence in str(caught.value)
    assert not output.exists()


def test_a_missing_file_and_an_output_that_cannot_be_written_are_told(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv: cannot be read \(No such file"):
        compute(tmp_path / "none.csv", "lab", tmp_path)
    path = written(tmp_path, lines(*small()))
    for output in (path, path / "below"):
        with pytest.raises(UserError, match="cannot be written"):
            compute(path, "lab", output, splits=50)
    with pytest.raises(UserError, match="cannot be written"):
        compute(path, "lab" * 200, tmp_path / "out", splits=50)


CELLS = {
    "task": st.sampled_from(["t", "t", "t", "u", "", "../t", "\x1b"]),
    "item": st.sampled_from(["1", "2", "3", "4", "5", "6", "7", ""]),
    "participant": st.sampled_from(["a", "b", "c", "d", "e", ""]),
    "rt_s": st.sampled_from(["1", "1", "2.5", "7", "0.1", "1e9", "1e-9", "nan", "0", "-1"]),
    "correct": st.sampled_from(["", "1", "1", "0", "true", "?"]),
}
times = st.sampled_from(["1", "1.1", "2.5", "7", "3", "0.1", "400"])


def complete_design(cells):
    """Rows of five people on eight items, from a time and a mark for each."""
    return [
        {"task": "t", "item": str(i % 8), "participant": "abcde"[i // 8]}
        | {"rt_s": rt_s, "correct": correct}
        for i, (rt_s, correct) in enumerate(cells)
    ]


some_rows = st.one_of(
    st.lists(st.fixed_dictionaries(CELLS), max_size=12),
    st.lists(st.tuples(times, st.sampled_from(["1", "1", "0", ""])), min_size=40, max_size=40).map(
        complete_design
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(some_rows, st.sampled_from([None, 1.0]), st.integers(1, 3))
def test_any_rows_give_a_sentence_or_tables_that_load(tmp_path_factory, rows, trim_sd, least):
    folder = tmp_path_factory.mktemp("any")
    path = written(
        folder, lines(*(",".join(row[name] for name in HEADER.split(",")) for row in rows))
    )
    options = {"trim_sd": trim_sd, "least_trials": least, "splits": 5}
    try:
        compute(path, "lab", folder / "out", **options)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        for task, source in norms.available(folder / "out"):
            table = norms.load(task, source, folder / "out")
            assert table.trials_kept == sum(norm.n for norm in table.items.values())
            assert min(norm.n for norm in table.items.values()) >= least


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
        st.text(',"\n\r;x1', max_size=60).map(lambda text: f"{HEADER}\n{text}".encode()),
    )
)
def test_any_bytes_give_a_sentence(tmp_path_factory, content):
    with pytest.raises(UserError):
        read_trials(written(tmp_path_factory.getbasetemp(), content, "bytes.csv"))


@needs_trials
@pytest.mark.parametrize(
    ("task", "source"),
    [
        ("products", "ds001486"),
        ("differences", "ds001486"),
        ("binary_addition", "iccm2019"),
        ("binary_division", "cogsci2019"),
        ("syllogisms", "brand_ragni_2023"),
        ("cardinal_directions", "ragni_2018"),
    ],
)
def test_published_trials_in_the_own_layout_give_the_packaged_tables(tmp_path, task, source):
    (published,) = [s for s in SOURCES if (s.task, s.source) == (task, source)]
    # Trials without a positive time are invalid in the published files and refused in own ones.
    trials = [t for t in published.read(TRIALS / published.file) if t.rt_s > 0]
    output, rules = tmp_path / "out", published.cleaning
    compute(
        written(tmp_path, csv_of({task: trials})),
        source,
        output,
        floor_s=rules.floor_s,
        ceiling_s=rules.ceiling_s,
        all_trials=not rules.correct_only,
    )
    name = f"{task}.{source}.csv"
    assert (output / name).read_bytes() == (norms.PACKAGED / name).read_bytes()
    (row,) = norms.summary_rows(output)
    assert row in norms.summary_rows(norms.PACKAGED)


THEIRS = """subj,Stimulus,RT (ms),acc,Item
p1,7 + 5,1200,1,a
p1,6 + 1,800,1,a
p2,7 + 5,-1,1,a
p2,6 + 1,,0,b
p2,3 + 3,NA,0,b
p2,6 + 1,1000,maybe,b
p2,7 + 5,1400,1,b
"""
NAMED = ["participant=subj,item=Stimulus", "rt=RT (ms),unit=ms,correct=acc"]


def test_columns_of_other_names_are_read_as_ours(tmp_path):
    path = tmp_path / "trials.csv"
    path.write_text(THEIRS.replace("-1", "900").replace(",,", ",700,").replace("NA", "5e2"))
    path.write_text(path.read_text().replace("maybe", "0"))
    trials, notes = read_trials(path, their_columns(NAMED), task="sums")
    assert trials["sums"][0] == Trial("p1", "7 + 5", 1.2, True)
    assert [trial.rt_s for trial in trials["sums"]] == [1.2, 0.8, 0.9, 0.7, 0.5, 1.0, 1.4]
    assert "ignored unknown columns: item (unread)" in notes[0]


def test_rows_that_are_no_trials_are_left_out_and_counted(tmp_path, capsys):
    path = tmp_path / "trials.csv"
    path.write_text(THEIRS)
    words = ["norms", "compute", str(path), "--source", "lab", "--output", str(tmp_path / "norms")]
    words += ["--columns", *NAMED, "--task", "sums", "--splits", "10"]
    with pytest.raises(UserError, match="line 4: rt_ms is -1; a response time is positive"):
        command(words)
    command([*words, "--drop_invalid"])
    printed = capsys.readouterr().out
    assert "4 invalid rows are left out: 1 where rt_ms is -1, 1 where empty rt_ms" in printed
    assert "sums.lab: 3 trials of 2 participants on 2 items" in printed
    (row,) = norms.summary_rows(tmp_path / "norms")
    assert row["rule"].endswith("; invalid rows dropped")


@pytest.mark.parametrize(
    ("words", "task", "message"),
    [
        (
            ["participants=subj"],
            None,
            "--columns participants=subj: give NAME=COLUMN with the names task, item",
        ),
        (["participant"], None, "--columns participant: give NAME"),
        (["rt=RT (ms)"], None, "and rt=COLUMN,unit=ms or unit=s"),
        (["rt=RT (ms),unit=min"], None, "and rt=COLUMN,unit=ms"),
        (["participant=who"], None, "no column 'who', which --columns names; found: subj"),
        ([*NAMED, "task=Item"], "sums", "has a column of tasks; leave out --task"),
        (NAMED, None, "no column task; found: participant, item, rt_ms"),
    ],
)
def test_columns_that_cannot_be_read_so_are_named(tmp_path, words, task, message):
    path = tmp_path / "trials.csv"
    path.write_text(THEIRS)
    with pytest.raises(UserError, match=re.escape(message)):
        read_trials(path, their_columns(words), task)
