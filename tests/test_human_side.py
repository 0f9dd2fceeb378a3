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


HEADER = "model,task,item,reasoning_tokens,human_rt_s,norms"


def timed_csv(tmp_path, tokens_csv, time, source="", more=()):
    """The token counts with times ``time(item)`` and the name of a source."""
    rows = [line.split(",") for line in tokens_csv.read_text().splitlines()[1:]]
    rows = [(*row, time(row[2]), source) for row in rows]
    return write(tmp_path / "timed.csv", HEADER, [*rows, *more])


def lab_norms(tmp_path, trials_csv, source="lab", folder="norms"):
    words = ["--source", source, "--output", str(tmp_path / folder), "--splits", "200"]
    command(["norms", "compute", str(trials_csv), *words])
    return tmp_path / folder


def unrelated(item):
    return 1 + int(item[1:]) * 7 % 30


@pytest.mark.parametrize("source", ["", "lab", "elsewhere"])
def test_norms_that_are_named_replace_times_and_a_note_says_so(
    tmp_path, trials_csv, tokens_csv, source
):
    folder = lab_norms(tmp_path, trials_csv)
    costs = timed_csv(tmp_path, tokens_csv, unrelated, source)
    result = align(tmp_path, costs, "--norms", folder)
    by_norms = align(tmp_path, tokens_csv, "--norms", folder)
    assert result["models"] == by_norms["models"]
    of = f" of norms '{source}'" if source else ""
    (note,) = [note for note in result["notes"] if "gives way" in note]
    assert note.startswith(f"task 'sums': human_rt_s{of} gives way to norms 'lab' of {folder}; ")
    assert not any("gives way" in note for note in by_norms["notes"])


def test_a_task_that_a_folder_lacks_keeps_its_times_and_a_note_says_so(
    tmp_path, trials_csv, tokens_csv
):
    folder = lab_norms(tmp_path, trials_csv)
    more = [("m", "other", f"o{i}", 9 + i, 1 + i, "") for i in range(12)]
    costs = timed_csv(tmp_path, tokens_csv, unrelated, more=more)
    result = align(tmp_path, costs, "--norms", folder)
    assert f"task 'other': not in {folder}, so it keeps its human_rt_s" in result["notes"]
    assert result["models"]["m"]["tasks"]["other"]["r_loglog"] > 0.9


@pytest.mark.parametrize(("option", "value"), [("--norms", "norms"), ("--trials", "trials.csv")])
def test_people_without_a_task_of_people_are_refused(tmp_path, trials_csv, option, value):
    lab_norms(tmp_path, trials_csv)
    rows = [("sums", f"s{i:02d}", 9 + i, 1 + i) for i in range(9)]
    costs = write(tmp_path / "a.csv", "task,item,reasoning_tokens,analytic_cost", rows)
    with pytest.raises(UserError, match="no effect, as all tasks have an analytic_cost"):
        align(tmp_path, costs, option, tmp_path / value)


def test_norms_and_trials_are_not_both_taken(tmp_path, trials_csv, tokens_csv):
    folder = lab_norms(tmp_path, trials_csv)
    with pytest.raises(UserError, match="trials give times and reliability, and so do norms"):
        align(tmp_path, tokens_csv, "--norms", folder, "--trials", trials_csv)


def test_norms_do_not_replace_the_times_of_single_people(tmp_path, trials_csv):
    rows = [("sums", f"s{i:02d}", 9 + i, p, 1 + i + p) for i in range(9) for p in range(5)]
    header = "task,item,reasoning_tokens,participant,human_rt_s"
    folder = lab_norms(tmp_path, trials_csv)
    with pytest.raises(UserError, match="item means, but the costs name participants"):
        align(tmp_path, write(tmp_path / "a.csv", header, rows), "--norms", folder)


def test_norms_of_a_part_of_the_items_are_counted_and_of_none_refused(
    tmp_path, trials_csv, tokens_csv
):
    few = [line for line in trials_csv.read_text().splitlines() if ",s0" in line or "rt_ms" in line]
    trials_csv.write_text("\n".join(few) + "\n")
    folder = lab_norms(tmp_path, trials_csv)
    result = align(tmp_path, tokens_csv, "--norms", folder)
    assert result["models"]["m"]["tasks"]["sums"]["n"] == 10
    sentence = "task 'sums': 20 of 30 items have no norm of lab and are left out, such as 's10'"
    assert sentence in result["notes"]
    costs = write(tmp_path / "x.csv", "task,item,reasoning_tokens", [("sums", "q", 3)])
    with pytest.raises(UserError, match="none of the items of task 'sums' has a norm of lab; item"):
        align(tmp_path, costs, "--norms", folder)


def test_times_of_a_named_source_have_to_be_its_times(tmp_path):
    people = norms.load("products", "ds001486")
    rows = [
        ("m", "products", item, 9 + index, round(float(np.exp(norm.mean_log_rt)), 2), "ds001486")
        for index, (item, norm) in enumerate(people.items.items())
    ]
    align(tmp_path, write(tmp_path / "costs.csv", HEADER, rows))
    changed = [*rows[:3], (*rows[3][:4], rows[3][4] * 1.1, rows[3][5]), *rows[4:]]
    sentence = r"costs\.csv, line 5: norms are 'ds001486', but human_rt_s of item '.*', .*, is .* t"
    with pytest.raises(UserError, match=sentence):
        align(tmp_path, write(tmp_path / "costs.csv", HEADER, changed))
    foreign = [*rows, ("m", "products", "9*99=1", 5, 2.0, "ds001486")]
    with pytest.raises(UserError, match=r"item '9\*99=1', 2, is not there"):
        align(tmp_path, write(tmp_path / "costs.csv", HEADER, foreign))
    result = align(tmp_path, write(tmp_path / "costs.csv", HEADER, changed), "--norms", "packaged")
    assert any("; 1 items have another time there" in note for note in result["notes"])


def test_runs_with_times_of_another_source_are_refused(tmp_path):
    people = norms.load("products", "ds001486")
    header = HEADER.removeprefix("model,")
    for name, factor in (("a", 1.0), ("b", 1.2)):
        rows = [
            ("products", item, 9 + index, float(np.exp(norm.mean_log_rt)) * factor, "ds001486")
            for index, (item, norm) in enumerate(people.items.items())
        ]
        (tmp_path / name).mkdir()
        write(tmp_path / name / "costs.csv", header, rows)
        (tmp_path / name / "run.json").write_text('{"comparability": {"suite": "x"}}')
    command(["compare", str(tmp_path / "a"), *FAST])
    with pytest.raises(UserError, match=r"b/costs\.csv, line 2: norms are 'ds001486', but"):
        command(["compare", str(tmp_path / "b"), *FAST])


def test_trials_of_tasks_without_costs_are_named(tmp_path, trials_csv, tokens_csv):
    with trials_csv.open("a") as file:
        file.write("other,a,p,900,1\n")
    notes = align(tmp_path, tokens_csv, "--trials", trials_csv)["notes"]
    assert any("no costs of people's tasks other; their trials count nowhere" in n for n in notes)


def raw_r(tmp_path, costs, *arguments):
    return align(tmp_path, costs, *arguments)["models"]["m"]["tasks"]["sums"]["r_raw"]


def test_the_raw_correlation_is_over_arithmetic_means(tmp_path, trials_csv, tokens_csv):
    folder = lab_norms(tmp_path, trials_csv)
    table = norms.load("sums", "lab", folder).items
    tokens = [int(line.split(",")[3]) for line in tokens_csv.read_text().splitlines()[1:]]
    expected = np.corrcoef(tokens, [table[f"s{i:02d}"].mean_rt_s for i in range(30)])[0, 1]
    geometric = np.corrcoef(tokens, [np.exp(table[f"s{i:02d}"].mean_log_rt) for i in range(30)])
    assert abs(expected - geometric[0, 1]) > 0.001
    assert raw_r(tmp_path, tokens_csv, "--norms", folder) == pytest.approx(expected, abs=1e-6)
    by_trials = raw_r(tmp_path, tokens_csv, "--trials", trials_csv)
    assert by_trials == pytest.approx(expected, abs=1e-4)

    def columns(item):
        return f"{np.exp(table[item].mean_log_rt)},{table[item].mean_rt_s}"

    costs = timed_csv(tmp_path, tokens_csv, columns)
    costs.write_text(costs.read_text().replace("human_rt_s,", "human_rt_s,human_mean_rt_s,"))
    assert raw_r(tmp_path, costs) == pytest.approx(expected, abs=1e-6)


def test_a_raw_correlation_over_geometric_means_says_so(tmp_path):
    people = norms.load("products", "ds001486")
    rows = [
        ("m", "products", item, 9 + index, float(np.exp(norm.mean_log_rt)), "ds001486")
        for index, (item, norm) in enumerate(people.items.items())
    ]
    notes = align(tmp_path, write(tmp_path / "costs.csv", HEADER, rows))["notes"]
    assert any(note.startswith("r raw of products is over geometric mean times") for note in notes)


@pytest.mark.parametrize(
    ("header", "rows", "sentence"),
    [
        ("", [(3, 2), (3, 4)], "line 2: human_mean_rt_s, the arithmetic mean, is below human_rt_s"),
        ("", [("", 4), ("", 5)], "line 2: fill in one of human_rt_s and analytic_cost"),
        ("", [(3, 4), (3, "")], "human_mean_rt_s is empty but given at .*; give it for all items"),
        ("participant", [(3, 4, "p"), (3, 4, "q")], "line 2: human_mean_rt_s in a row of one part"),
    ],
)
def test_arithmetic_means_that_do_not_fit_are_refused(tmp_path, header, rows, sentence):
    columns = "task,item,reasoning_tokens,human_rt_s,human_mean_rt_s" + (header and f",{header}")
    content = [("t", f"i{place}", 5, *row) for place, row in enumerate(rows)]
    with pytest.raises(UserError, match=sentence):
        align(tmp_path, write(tmp_path / "costs.csv", columns, content))


def test_reliability_of_people_does_not_depend_on_the_name_of_the_task(
    tmp_path, trials_csv, tokens_csv
):
    found = align(tmp_path, tokens_csv, "--trials", trials_csv)["models"]["m"]["tasks"]["sums"]
    for path in (trials_csv, tokens_csv):
        path.write_text(path.read_text().replace("sums", "other"))
    renamed = align(tmp_path, tokens_csv, "--trials", trials_csv)["models"]["m"]["tasks"]["other"]
    for key in ("reliability_human", "reliability_human_ci", "ceiling"):
        assert renamed[key] == found[key]


def test_reliabilities_that_say_nothing_are_named(tmp_path, trials_csv, tokens_csv):
    rng = np.random.default_rng(5)
    lines = trials_csv.read_text().splitlines()
    shuffled = [line.rsplit(",", 2)[0] + f",{rng.integers(900, 3000)},1" for line in lines[1:]]
    trials_csv.write_text("\n".join([lines[0], *shuffled]) + "\n")
    rows = [f"m,sums,s{i:02d},{s},{rng.integers(90, 900)}" for i in range(30) for s in range(2)]
    tokens_csv.write_text("\n".join(["model,task,item,sample,reasoning_tokens", *rows]) + "\n")
    result = align(tmp_path, tokens_csv, "--trials", trials_csv)
    task = result["models"]["m"]["tasks"]["sums"]
    assert max(task["reliability_human"], task["reliability_model"]) < 0.3
    for whose in ("people", "m"):
        start = f"{whose} on sums: reliability "
        assert any(note.startswith(start) and "below 0.3" in note for note in result["notes"])
