import json
import os
import subprocess
import sys

import pytest
from simulated import csv_text, study

from handan import norms
from handan.cli import command
from handan.errors import UserError, printable, run_main
from handan.formatting import decimal

FAST = ["--bootstrap", "100"]
COMPARABLE = {"suite": "small", "suite_version": 1, "max_new_tokens": 64, "samples": 2}


def handan(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "handan", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


@pytest.fixture
def costs_csv(tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text(csv_text(study({"teacher": 0.8, "student": 0.2}, tasks=("alpha", "beta"))))
    return path


def run_directory(folder, r, arm=None, comparability=COMPARABLE, models=("m",)):
    folder.mkdir()
    (folder / "costs.csv").write_text(csv_text(study(dict.fromkeys(models, r))))
    run = {"comparability": comparability} | ({"arm": arm} if arm else {})
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def test_align_prints_tables_and_writes_json(costs_csv, tmp_path, capsys):
    output = tmp_path / "new" / "alignment.json"
    command(["align", str(costs_csv), "--output", str(output), "--reference", "teacher", *FAST])
    printed = capsys.readouterr().out
    result = json.loads(output.read_text())
    assert list(result["models"]) == ["teacher", "student"]
    assert result["settings"]["bootstrap"] == 100
    assert [row["verdict"] for row in result["contrasts"]] == ["lower"] * 3
    assert [row["student"] for row in result["inflation"]] == ["student"] * 3
    r = result["models"]["student"]["tasks"]["beta"]["r_loglog"]
    first_table = printed.split("\n\n")[0]
    (line,) = [line for line in first_table.splitlines() if line.startswith("student  beta")]
    assert line.split()[4] == decimal(r)  # after the items and the distinct lengths
    assert "mean of human tasks" in printed
    assert f"wrote {output}" in printed


def test_align_is_reproducible_byte_by_byte(costs_csv, tmp_path):
    texts = []
    for name in ("a.json", "b.json"):
        command(["align", str(costs_csv), "--output", str(tmp_path / name), *FAST])
        texts.append((tmp_path / name).read_bytes())
    assert texts[0] == texts[1]


def test_notes_of_the_file_are_printed_and_kept(costs_csv, tmp_path, capsys):
    lines = costs_csv.read_text().splitlines()
    costs_csv.write_text("\n".join([lines[0] + ",mood", *(line + ",x" for line in lines[1:])]))
    command(["align", str(costs_csv), "--output", str(tmp_path / "out.json"), *FAST])
    assert "ignored unknown columns: mood" in capsys.readouterr().out
    assert "mood" in json.loads((tmp_path / "out.json").read_text())["notes"][0]


def test_pairs_and_a_reference_are_two_answers_to_one_question(costs_csv, tmp_path):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("student,teacher\nstudent,teacher\n")
    with pytest.raises(UserError, match="give one of them"):
        command(["align", str(costs_csv), "--pairs", str(pairs), "--reference", "teacher", *FAST])
    command(["align", str(costs_csv), "--pairs", str(pairs), *FAST])


def test_names_cannot_send_codes_to_the_terminal(tmp_path, capsys):
    path = tmp_path / "costs.csv"
    rows = study({"\x1b[2Jevil\x07": 0.5}, tasks=("\u202etxet",))
    path.write_text(csv_text(rows), encoding="utf-8")
    command(["align", str(path), *FAST])
    printed = capsys.readouterr().out
    assert "?[2Jevil?" in printed and "?txet" in printed
    assert all(character.isprintable() or character == "\n" for character in printed)


def test_compare_names_models_by_arm_or_directory(tmp_path, capsys):
    first = run_directory(tmp_path / "run-a", 0.8)
    second = run_directory(tmp_path / "run-b", 0.2, arm="sft")
    output = tmp_path / "out.json"
    command(["compare", str(first), str(second), "--reference", str(first), *FAST])
    command(["compare", str(first), str(second), "--output", str(output), *FAST])
    result = json.loads(output.read_text())
    assert list(result["models"]) == ["run-a", "sft"]
    assert (result["contrasts"][0]["a"], result["contrasts"][0]["b"]) == ("run-a", "sft")
    assert result["notes"] == []
    assert "Inflation" in capsys.readouterr().out


def test_compare_keeps_apart_the_models_of_one_run(tmp_path):
    first = run_directory(tmp_path / "a", 0.8, arm="sft", models=("sft", "sft (T=0)"))
    second = run_directory(tmp_path / "b", 0.2, models=("x", "y"))
    output = tmp_path / "out.json"
    command(["compare", str(first), str(second), "--output", str(output), *FAST])
    models = json.loads(output.read_text())["models"]
    assert list(models) == ["sft", "sft (T=0)", "b: x", "b: y"]


def test_compare_names_the_key_in_which_suites_of_one_name_differ(tmp_path):
    tasks = [{"task": "sums", "norms": norms} for norms in ("lab", "home")]
    runs = [
        run_directory(tmp_path / name, 0.5, comparability=COMPARABLE | {"suite_hash": name})
        for name in "ab"
    ]
    with pytest.raises(UserError, match=r"suite_hash is a in .*a but b in .*b"):
        command(["compare", *map(str, runs), *FAST])
    for run, task in zip(runs, tasks, strict=True):
        settings = {"evaluation": {"suite": {"samples": 2, "tasks": [task]}}}
        (run / "config.yaml").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"suite\.tasks\[0\]\.norms is lab in .*a but home in"):
        command(["compare", *map(str, runs), *FAST])


def test_compare_refuses_runs_measured_under_other_conditions(tmp_path, capsys):
    first = run_directory(tmp_path / "a", 0.8)
    other = COMPARABLE | {"max_new_tokens": 128}
    second = run_directory(tmp_path / "b", 0.2, comparability=other)
    arguments = ["compare", str(first), str(second), *FAST]
    with pytest.raises(UserError, match=r"max_new_tokens is 64 in .*a but 128 in .*b"):
        command(arguments)
    command([*arguments, "--allow-different"])
    assert "warning: runs are not comparable: max_new_tokens is 64" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda run: (run / "run.json").unlink(), "run.json: no such file"),
        (lambda run: (run / "run.json").write_text("{}"), "no 'comparability'"),
        (lambda run: (run / "costs.csv").unlink(), "costs.csv: cannot be read"),
        (
            lambda run: (run / "run.json").write_text(
                json.dumps({"comparability": COMPARABLE, "arm": "a"})
            ),
            "both have a model named 'a'",
        ),
    ],
)
def test_compare_says_what_is_wrong_with_a_run(tmp_path, change, sentence):
    first, second = run_directory(tmp_path / "a", 0.8), run_directory(tmp_path / "b", 0.2)
    change(second)
    with pytest.raises(UserError, match=sentence):
        command(["compare", str(first), str(second), *FAST])


def test_compare_refuses_runs_that_disagree_on_people(tmp_path):
    first, second = run_directory(tmp_path / "a", 0.8), run_directory(tmp_path / "b", 0.2)
    rows = study({"m": 0.2}, seed=1)
    (second / "costs.csv").write_text(csv_text(rows))
    with pytest.raises(UserError, match=r"b/costs.csv, line 2: item .* costs people .*a/costs.csv"):
        command(["compare", str(first), str(second), *FAST])


def test_compare_refuses_a_run_named_twice_and_an_unknown_reference(tmp_path):
    run = str(run_directory(tmp_path / "a", 0.8))
    with pytest.raises(UserError, match="named twice"):
        command(["compare", run, run])
    with pytest.raises(UserError, match="no run or model 'x'"):
        command(["compare", run, "--reference", "x"])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["align"],
        ["align", "missing.csv"],
        ["align", "missing.csv", "--bootstrap", "many"],
        ["align", "missing.csv", "--boot", "5"],
        ["norms"],
        ["report", "run"],
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_two(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run_main(lambda: command(arguments))
    streams = capsys.readouterr()
    assert caught.value.code == 2
    assert streams.err.startswith("handan: error: ")
    assert streams.err.count("\n") == 1
    assert streams.out == ""


def test_an_output_that_cannot_be_written_is_told(costs_csv, tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        command(["align", str(costs_csv), "--output", str(costs_csv / "x.json"), *FAST])


def test_the_command_exits_with_code_two_in_a_real_process(tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text("task,item,reasoning_tokens,human_rt_s\nadd,a,x\x1b[2J,1\n")
    done = handan("align", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"handan: error: {path}, line 2: reasoning_tokens is 'x?[2J', not a plain number such "
        "as 12 or 3.5\n"
    )


def test_help_and_align_load_nothing_heavy(costs_csv):
    code = (
        "import sys\n"
        "from handan.cli import command\n"
        "try:\n    command(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )

    def loaded(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return set(done.stdout.splitlines()[-1].split())

    assert not loaded("--help") & {"numpy", "scipy", "torch", "transformers", "pandas", "yaml"}
    assert not loaded("align", costs_csv, *FAST) & {"torch", "transformers", "pandas"}


def test_a_reader_that_stops_early_is_no_error(costs_csv):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "handan", "align", str(costs_csv), *FAST],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (141, "")


def test_an_interrupt_says_how_to_go_on_and_bugs_keep_their_traceback(capsys):
    def interrupted():
        raise KeyboardInterrupt

    def broken_worker():
        raise BrokenPipeError("worker")

    with pytest.raises(SystemExit) as caught:
        run_main(interrupted)
    assert caught.value.code == 130
    assert "handan: stopped by Ctrl-C; run the same command again" in capsys.readouterr().err
    with pytest.raises(BrokenPipeError, match="worker"):
        run_main(broken_worker)
    with pytest.raises(ZeroDivisionError):
        run_main(lambda: 1 / 0)
    with pytest.raises(SystemExit) as caught:
        run_main(lambda: "what a function returns is not its exit code")
    assert caught.value.code == 0


def test_a_terminal_without_the_letters_gets_their_codes(costs_csv):
    costs_csv.write_text(costs_csv.read_text().replace("student", "邯郸"), encoding="utf-8")
    done = handan("align", costs_csv, *FAST, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "\\u90af\\u90f8" in done.stdout


def test_norms_list_names_what_is_packaged(capsys):
    command(["norms", "list"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(norms.available())
    (line,) = [line for line in lines if line.startswith("binary_addition  ") and "iccm" in line]
    people = norms.load("binary_addition", "iccm2019")
    assert line.split()[2:6] == [
        *(str(len(people.items)), str(people.participants), str(people.trials_kept)),
        decimal(people.reliability),
    ]


def test_numbers_and_text_as_printed():
    assert [decimal(x) for x in (0.318, -0.05, 1.0, -0.001, 12.345, 2.5e8, None)] == [
        *(".32", "-.05", "1.00", ".00", "12.35", "2.5e+08", "-")
    ]
    assert printable("a\tb\x1b\u200b邯") == "a?b??邯"
