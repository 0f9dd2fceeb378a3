"""From trials to tables: cleaning rules, error messages, and the packaged tables again."""

import csv
import math
from collections import defaultdict

import numpy as np
import pytest
from build_norms import (
    BINARY,
    CHILDREN,
    PACKAGED_SEED,
    PACKAGED_SPLITS,
    SOURCES,
    build,
    read_syllogisms,
    read_verification,
)
from human_trials import TRIALS, needs_trials

from handan import norms
from handan.errors import UserError
from handan.norms.compute import item_table, sums_by_cell
from handan.norms.trials import Trial, clean

BINARY_HEADER = (
    "experiment,session_hash,operator,operand_digits,operand1,operand2,answer,solving_time_s"
)
CHILD_HEADER = "participant,task,trial_type,problem,shown_answer,accuracy,rt_s"


def source(task, name=None):
    return next(s for s in SOURCES if s.task == task and (name is None or s.source == name))


def written(folder, file, header, *lines):
    (folder / file).write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder / file


@pytest.mark.parametrize(
    ("task", "floor_s", "correct_only"),
    [
        ("binary_addition", 1.0, True),
        ("products", 0.2, True),
        ("syllogisms", 1.0, False),
        ("syllogism_verification", 1.0, True),
        ("cardinal_directions", 0.2, True),
    ],
)
def test_valid_trials_lie_between_the_floor_and_300_s(task, floor_s, correct_only):
    times = [-3.0, floor_s - 0.001, floor_s, 300.0, 300.001, 4000.0, math.nan]
    trials = [Trial("p", "item", t, c) for t in times for c in (True, False, None)]
    valid, kept, left_out = clean(trials, source(task).cleaning)
    assert [t.rt_s for t in valid] == [floor_s] * 3 + [300.0] * 3
    assert {t.correct for t in kept} == ({True, None} if correct_only else {True, False, None})
    assert sum(left_out.values()) == len(trials) - len(kept)


def test_item_table_averages_kept_trials_and_scores_valid_ones():
    kept = [Trial("p", "b", 2.0, True), Trial("q", "b", 8.0, True), Trial("p", "a", 3.0, None)]
    wrong = [Trial("r", "b", 1.0, False), Trial("r", "b", 1.0, False), Trial("p", "c", 5.0, False)]
    assert item_table(kept + wrong, kept) == [
        {
            "item": "a",
            "n": 1,
            "accuracy": None,
            "mean_rt_s": "3.000",
            "mean_log_rt": "1.09861",
            "se_log_rt": None,
        },
        {
            "item": "b",
            "n": 2,
            "accuracy": "0.5000",
            "mean_rt_s": "5.000",
            "mean_log_rt": "1.38629",  # log 4
            "se_log_rt": "0.69315",  # (log 8 - log 2) / 2
        },
    ]


def test_sums_are_by_participant_and_item():
    columns = np.array([2.0, 3.0, 5.0]), np.ones(3)
    items, (values, counts) = sums_by_cell(["q", "q", "p"], ["b", "b", "a"], *columns)
    assert items == ["a", "b"]
    assert values.tolist() == [[5, 0], [0, 5]]
    assert counts.tolist() == [[1, 0], [0, 2]]


def test_binary_trials_are_scored_by_value_whatever_the_leading_zeros(tmp_path):
    path = written(
        tmp_path,
        BINARY,
        BINARY_HEADER,
        "iccm2019_final,p1,add,4,0101,0011,1000,4.5",
        "iccm2019_final,p1,add,4,0101,0011,001000,4.5",
        "iccm2019_final,p2,add,4,0101,0011,1001,3",
        "iccm2019_final,p2,subtract,4,0101,0011,10,3",
        "practice,p2,add,4,0101,0011,1000,3",
        "iccm2019_final,p2,add,6,0101,0011,1000,3",
    )
    assert source("binary_addition", "iccm2019").read(path) == [
        Trial("p1", "0101+0011", 4.5, True),
        Trial("p1", "0101+0011", 4.5, True),
        Trial("p2", "0101+0011", 3.0, False),
    ]


def test_unusable_and_contradictory_trials_of_children_get_no_time(tmp_path):
    path = written(
        tmp_path,
        CHILDREN,
        CHILD_HEADER,
        "s1,Mult,Etrue,3 x 5 =,15,1.0,1.4",
        "s1,Mult,Efalse,3 x 5 =,10,0.0,1.5",
        "s2,Mult,Etrue,3 x 5 =,15,err,err",
        "s2,Mult,Efalse,3 x 5 =,10,0.0,n/a",
        "s3,Mult,Efalse,3 x 5 =,15,1.0,1.6",
        "s3,Sub,HTrue,7 - 2 =,5,1.0,1.7",
    )
    trials = source("products").read(path)
    assert trials[:2] == [Trial("s1", "3*5=15", 1.4, True), Trial("s1", "3*5=10", 1.5, False)]
    assert [math.isnan(trial.rt_s) for trial in trials[2:]] == [True] * 3
    assert source("differences").read(path) == [Trial("s3", "7-2=5", 1.7, True)]


def test_syllogisms_are_right_if_everything_ticked_follows(tmp_path):
    path = written(
        tmp_path,
        "s.csv",
        "id,syllogism,responses,rt_ms",
        "p1,AA1,\"['aac']\",20000",
        "p1,AA1,\"['iac', 'ica']\",20000",
        "p1,AA1,\"['aac', 'aca']\",20000",
        "p1,II1,['nvc'],1500",
        "p1,II1,\"['nvc', 'iac']\",1500",
        "p1,AA1,['nvc'],1500",
    )
    trials = read_syllogisms(path)
    assert [trial.correct for trial in trials] == [True, True, False, True, False, False]
    assert [trial.rt_s for trial in trials] == [20.0] * 3 + [1.5] * 3


def test_verification_scores_acceptance_against_validity(tmp_path):
    path = written(
        tmp_path,
        "v.csv",
        "id,task,response,response_time",
        "p1,No;stone;cat/All;cat;eyes,True,5000",
        "p1,All;ant;insect/No;insect;backbone,True,5000",
        "p1,All;bat;mammal/No;mammal;fly,False,5000",
    )
    assert [trial.correct for trial in read_verification(path)] == [False, True, True]


def test_directions_without_a_right_answer_are_not_scored(tmp_path):
    path = written(
        tmp_path,
        "d.csv",
        "id,premises,response,question_rt_ms",
        "p1,north;mall;bar/east;bar;gym,south-west;gym;mall,2500",
        "p1,north;mall;bar/east;bar;gym,west;gym;mall,2500",
        "p1,north;mall;bar/south;bar;gym,north;gym;mall,2500",
    )
    trials = source("cardinal_directions").read(path)
    assert [trial.correct for trial in trials] == [True, False, None]


@pytest.mark.parametrize(
    ("task", "header", "line", "message"),
    [
        ("binary_addition", "experiment", "x", r"t\.csv: no column 'session_hash'; add it"),
        (
            "binary_addition",
            BINARY_HEADER,
            "iccm2019_final,p1,add,4,0101,0011,1000,fast",
            r"t\.csv, line 2: solving_time_s is 'fast', not a plain number",
        ),
        (
            "binary_addition",
            BINARY_HEADER,
            "iccm2019_final,p1,add,4,0101,0011,eight,3",
            r"line 2: 'eight' in column 'answer' is no binary number",
        ),
        (
            "binary_subtraction",
            BINARY_HEADER,
            "iccm2019_final,p1,subtract,4,0011,0101,1,3",
            "line 2: operands outside the design",
        ),
        (
            "binary_addition",
            BINARY_HEADER,
            "iccm2019_final,p1,add,4,0101,0011",
            "line 2: 6 cells under 8 columns",
        ),
        (
            "products",
            CHILD_HEADER,
            "s1,Mult,Etrue,3 x 7 =,21,1.0,1.4",
            "line 2: unknown problem '3 x 7 ='",
        ),
        (
            "products",
            CHILD_HEADER,
            "s1,Mult,Etrue,3 x 5 =,15,1.0,nan",
            "line 2: rt_s is 'nan', not a plain number",
        ),
        (
            "syllogisms",
            "id,syllogism,responses,rt_ms",
            "p1,AX1,['nvc'],2000",
            "line 2: unknown 'AX1' in column 'syllogism'",
        ),
        (
            "syllogisms",
            "id,syllogism,responses,rt_ms",
            "p1,AA1,[],2000",
            "line 2: unknown '' in column 'responses'",
        ),
        (
            "syllogism_verification",
            "id,task,response,response_time",
            "p1,All;cat;dog/No;dog;cow,True,2000",
            "line 2: unknown 'All;cat;dog/No;dog;cow' in column 'task'",
        ),
        (
            "cardinal_directions",
            "id,premises,response,question_rt_ms",
            "p1,up;mall;bar/east;bar;gym,west;gym;mall,2500",
            "line 2: unknown 'up' in column 'premises'",
        ),
    ],
)
def test_bad_cells_are_told_with_file_line_and_column(tmp_path, task, header, line, message):
    path = written(tmp_path, "t.csv", header, line)
    with pytest.raises(UserError, match=message):
        source(task).read(path)


def test_build_tells_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"binary_arithmetic_trials\.csv: cannot be read"):
        build(tmp_path, tmp_path / "out", 10, 0)


def test_build_tells_a_file_without_usable_trials(tmp_path):
    written(tmp_path, BINARY, BINARY_HEADER, "iccm2019_final,p1,add,4,0101,0011,1000,900")
    with pytest.raises(UserError, match=r"no usable trials for binary_addition\.iccm2019"):
        build(tmp_path, tmp_path / "out", 10, 0)


def test_build_needs_a_split(tmp_path):
    with pytest.raises(UserError, match="splits is 0; give at least 1"):
        build(tmp_path, tmp_path, 0, 0)


@needs_trials
def test_rebuilding_gives_exactly_the_packaged_tables(tmp_path):
    tables = build(TRIALS, tmp_path, PACKAGED_SPLITS, PACKAGED_SEED)
    assert [(t.summary["task"], t.summary["source"]) for t in tables] == norms.available()
    packaged = {path.name: path.read_bytes() for path in norms.PACKAGED.glob("*.csv")}
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == packaged


@needs_trials
def test_verification_times_by_kind_are_the_published_ones_over_all_answers():
    times_s = defaultdict(list)
    with open(TRIALS / "syllogism_verification_trials.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            times_s[row["type_of_syllogism"]].append(float(row["response_time"]) / 1000)
    published = {
        "match-valid": 6.0,
        "match-invalid": 6.9,
        "mismatch-invalid": 11.7,
        "mismatch-valid": 16.9,
    }
    for kind, expected in published.items():
        assert math.isclose(np.mean(times_s[kind]), expected, abs_tol=0.06)


@needs_trials
def test_modulo_times_by_carries_are_the_published_ones():
    # The study counts the borrows of the last subtraction only, so the file's count is used.
    times_s = defaultdict(list)
    with open(TRIALS / BINARY, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (row["operator"], row["correct"]) == ("modulo", "True"):
                times_s[int(row["carries"])].append(float(row["solving_time_s"]))
    means = [np.mean(times_s[count]) for count in range(4)]
    assert np.allclose(means, [8.77, 14.71, 17.16, 16.91], atol=0.0055)


@needs_trials
def test_carries_of_items_are_those_of_the_study():
    from handan.tasks.binary import make_item

    names = {"add": "addition", "subtract": "subtraction", "multiply": "multiplication"}
    with open(TRIALS / BINARY, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["operator"] in names:
                a, b = int(row["operand1"], 2), int(row["operand2"], 2)
                item = make_item(f"binary_{names[row['operator']]}", a, b)
                assert item.covariates["carries"] == int(row["carries"]), row
