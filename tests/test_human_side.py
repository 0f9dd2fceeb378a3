"""Response times beside costs.csv: from a folder of norms, or from trials."""

import json

import numpy as np
import pytest

from handan import norms
from handan.cli import command
from handan.errors import UserError

FAST = ["--bootstrap", "200"]


def write(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


@pytest.fixture
def trials_csv(tmp_path):
    generator = np.random.default_rng(0)
    difficulty = generator.normal(0, 0.5, 30)
    rows = [
        ("sums", f"s{i:02d}", f"p{p}", round(1000 * np.exp(1 + d + 0.3 * generator.normal())), "1")
        for p in range(12)
        for i, d in enumerate(difficulty)
    ]
    rows += [("sums", "s00", "p0", 10, "1"), ("sums", "s01", "p0", 90_000, "0")]
    return write(tmp_path / "trials.csv", "task,item,participant,rt_ms,correct", rows)


@pytest.fixture
def tokens_csv(tmp_path):
    generator = np.random.default_rng(1)
    difficulty = np.random.default_rng(0).normal(0, 0.5, 30)
    rows = [
        ("m", "sums", f"s{i:02d}", int(500 * np.exp(d + 0.3 * generator.normal())))
        for i, d in enumerate(difficulty)
    ]
    return write(tmp_path / "tokens.csv", "model,task,item,reasoning_tokens", rows)


def align(tmp_path, *arguments):
    output = tmp_path / "alignment.json"
    command(["align", *map(str, arguments), "--output", str(output), *FAST])
    return json.loads(output.read_text())


def test_norms_of_a_folder_give_times_and_ceiling(tmp_path, trials_csv, tokens_csv, capsys):
    folder = tmp_path / "norms"
    command(["norms", "compute", str(trials_csv), "--source", "lab", "--output", str(folder)])
    task = align(tmp_path, tokens_csv, "--norms", folder)["models"]["m"]["tasks"]["sums"]
    table = norms.load("sums", "lab", folder)
    assert task["reliability_human"] == table.reliability
    assert task["ceiling"] == pytest.approx(np.sqrt(table.reliability))
    tokens = [int(line.split(",")[3]) for line in tokens_csv.read_text().splitlines()[1:]]
    times = [table.items[f"s{i:02d}"].mean_log_rt for i in range(30)]
    assert task["r_loglog"] == pytest.approx(np.corrcoef(np.log(tokens), times)[0, 1], abs=1e-4)


def test_trials_agree_with_the_norms_made_of_them(tmp_path, trials_csv, tokens_csv):
    folder = tmp_path / "norms"
    command(["norms", "compute", str(trials_csv), "--source", "lab", "--output", str(folder)])
    by_norms = align(tmp_path, tokens_csv, "--norms", folder)["models"]["m"]["tasks"]["sums"]
    by_trials = align(tmp_path, tokens_csv, "--trials", trials_csv)
    task = by_trials["models"]["m"]["tasks"]["sums"]
    assert task["r_loglog"] == pytest.approx(by_norms["r_loglog"], abs=1e-4)
    assert task["reliability_human"] == pytest.approx(by_norms["reliability_human"], abs=0.01)
    note = f"task 'sums': response times of {trials_csv}, 360 of 362 trials (correct trials; "
    assert any(text.startswith(note) for text in by_trials["notes"])


def test_items_without_people_are_left_out_and_counted(tmp_path, trials_csv, tokens_csv):
    with tokens_csv.open("a") as file:
        file.write("m,sums,new,300\n")
    folder = tmp_path / "norms"
    command(["norms", "compute", str(trials_csv), "--source", "lab", "--output", str(folder)])
    for option, path in (("--norms", folder), ("--trials", trials_csv)):
        result = align(tmp_path, tokens_csv, option, path)
        assert result["models"]["m"]["tasks"]["sums"]["n"] == 30
        assert any("1 of 31 items have no" in note and "'new'" in note for note in result["notes"])


def test_trials_take_the_place_of_times_in_the_file_and_a_note_says_so(
    tmp_path, trials_csv, tokens_csv
):
    lines = tokens_csv.read_text().splitlines()
    timed = [lines[0] + ",human_rt_s", *(line + ",5" for line in lines[1:])]
    tokens_csv.write_text("\n".join(timed) + "\n")
    result = align(tmp_path, tokens_csv, "--trials", trials_csv)
    assert result["models"]["m"]["tasks"]["sums"]["r_loglog"] > 0.5
    assert any("gives way to the trials" in note for note in result["notes"])


def test_the_packaged_norms_are_there_beside_a_folder(tmp_path, trials_csv, capsys):
    folder = tmp_path / "norms"
    command(["norms", "compute", str(trials_csv), "--source", "lab", "--output", str(folder)])
    people = norms.load("products", "ds001486")
    rows = [
        ("products", item, 9 + index, round(float(np.exp(norm.mean_log_rt)), 4), "ds001486")
        for index, (item, norm) in enumerate(people.items.items())
    ]
    header = "task,item,reasoning_tokens,human_rt_s,norms"
    path = write(tmp_path / "costs.csv", header, rows)
    result = align(tmp_path, path, "--norms", folder)
    task = result["models"]["model"]["tasks"]["products"]
    assert task["reliability_human"] == people.reliability


def test_token_counts_on_packaged_items_need_nothing_else(tmp_path):
    people = norms.load("binary_subtraction", "iccm2019")
    rows = [("binary_subtraction", item, 9 + index) for index, item in enumerate(people.items)]
    path = write(tmp_path / "tokens.csv", "task,item,reasoning_tokens", rows)
    task = align(tmp_path, path, "--norms", "packaged")["models"]["model"]["tasks"]
    assert task["binary_subtraction"]["n"] == len(people.items)
    assert task["binary_subtraction"]["reliability_human"] == people.reliability


@pytest.mark.parametrize(
    "option, change, sentence",
    [
        ("--trials", lambda text: text.replace("sums", "other"), "no trials of task 'sums'"),
        (
            "--trials",
            lambda text: text.replace("s0", "x").replace("s1", "y").replace("s2", "z"),
            "items are matched by name, such as 's00'",
        ),
        ("--trials", lambda text: text.replace("rt_ms", "rt"), "no column rt_s"),
        ("--trials", lambda text: "", "empty"),
    ],
)
def test_trials_that_do_not_fit_are_told(
    tmp_path, trials_csv, tokens_csv, option, change, sentence
):
    trials_csv.write_text(change(trials_csv.read_text()))
    with pytest.raises(UserError, match=sentence):
        align(tmp_path, tokens_csv, option, trials_csv)


def test_norms_that_do_not_fit_are_told(tmp_path, trials_csv, tokens_csv, capsys):
    with pytest.raises(UserError, match=r"summary\.csv"):
        align(tmp_path, tokens_csv, "--norms", tmp_path / "nothing")
    folder = tmp_path / "norms"
    command(["norms", "compute", str(trials_csv), "--source", "lab", "--output", str(folder)])
    tokens_csv.write_text(tokens_csv.read_text().replace("sums", "other"))
    with pytest.raises(UserError, match=r"no norms of task 'other'; there are: sums \(lab\)"):
        align(tmp_path, tokens_csv, "--norms", folder)


def test_a_file_without_times_needs_norms_or_trials(tokens_csv):
    with pytest.raises(UserError, match="no column human_rt_s or analytic_cost"):
        command(["align", str(tokens_csv), *FAST])
