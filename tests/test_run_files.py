"""Files of a run that a killed process, a full disk or a second writer has left: who reads them."""

import os
import re
import signal
import subprocess
import sys
import tempfile

import pytest
import yaml
from disks import as_nobody, largest_file, one_sentence, python, tear
from embedded import ROOT, engine
from report_runs import cost_rows, write_run
from test_responses import LABELS, by_key, plan

from handan import rundir
from handan.errors import UserError
from handan.evaluation.responses import collect
from handan.files import append_jsonl, read_appended, read_json, read_jsonl, write_json
from handan.launch import SINGLE
from handan.report.comparison import read_comparison
from handan.report.plot_data import num_probed_items
from handan.report.trace_browser import places, read_traces
from handan.traces.make import ensure_traces
from handan.training.resume import forget_after


def row(item, step=None, **columns):
    """A response as evaluation writes it, or a probe if it has a step."""
    when = {} if step is None else {"step": step}
    named = {"settings": "s", "task": "alpha", "item": item, "sample": 0}
    return {**when, **named, "reasoning_tokens": 5, "status": "complete", "text": "", **columns}


def test_an_evaluation_that_filled_its_disk_goes_on_with_the_same_samples(tmp_path):
    whole, path = tmp_path / "whole.jsonl", tmp_path / "generations.jsonl"
    collect(engine(), plan(), whole, LABELS, SINGLE)
    with (
        largest_file(int(0.6 * whole.stat().st_size)),
        pytest.raises(UserError, match=r"generations.jsonl: cannot be written \(File too large\)"),
    ):
        collect(engine(), plan(), path, LABELS, SINGLE)
    kept = read_jsonl(path)
    assert 0 < len(kept) < 18
    collect(engine(), plan(), path, LABELS, SINGLE)
    assert read_jsonl(path)[: len(kept)] == kept
    assert len(read_jsonl(path)) == 18
    assert by_key(path) == by_key(whole)


def test_lines_that_were_cut_off_are_counted_in_run_json(tmp_path, capsys):
    write_json(tmp_path / "run.json", {"arm": "sft"})
    path = tmp_path / "generations.jsonl"
    for _ in range(2):
        append_jsonl(path, [{"item": "a"}, {"item": "b"}])
        tear(path)
        assert rundir.recover(path, ("item",)) == [{"item": "a"}]
        assert "dropped one half-written line" in capsys.readouterr().out
        path.unlink()
    rundir.record(tmp_path, "evaluation", {"suite": "tiny"})
    assert read_json(tmp_path / "run.json")["torn_lines"] == {"generations.jsonl": 2}


def test_a_resumed_training_recovers_all_its_files(tmp_path):
    write_json(tmp_path / "run.json", {})
    for name in ("metrics.jsonl", "rollouts.jsonl", "probe.jsonl", "full.jsonl"):
        append_jsonl(tmp_path / name, [row("a", 10), row("a", 20), row("a", 30)])
        tear(tmp_path / name)
    forget_after(tmp_path, 10)
    for name in ("metrics.jsonl", "rollouts.jsonl", "probe.jsonl", "full.jsonl"):
        assert read_jsonl(tmp_path / name) == [row("a", 10)]
        assert read_json(tmp_path / "run.json")["torn_lines"][name] == 1


def test_a_training_does_not_go_on_from_files_that_two_processes_wrote(tmp_path):
    append_jsonl(tmp_path / "probe.jsonl", [row("a", 10), row("b", 10), row("a", 10)])
    with pytest.raises(UserError, match=r"probe.jsonl, line 3: same step, .* as line 1; two runs"):
        forget_after(tmp_path, 10)


def test_a_damaged_line_in_the_middle_stops_and_says_what_to_do(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for damage in (b'{"step": 1, "lo\n', b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"\0\0\0\n"):
        path.write_bytes(b'{"step": 0}\n' + damage + b'{"step": 2}\n')
        for read in (read_jsonl, read_appended, lambda path: forget_after(path.parent, 2)):
            with pytest.raises(
                UserError, match=r"metrics.jsonl, line 2: .*; mend or remove the line"
            ):
                read(path)


def test_a_row_without_its_end_is_left_out_by_readers_and_told(tmp_path, capsys):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"step": 1')
    assert read_appended(path) == [{"step": 0}]
    assert f"{path}, line 2: cut off, so it is left out" in capsys.readouterr().out


@pytest.fixture
def run(tmp_path):
    """An evaluated run with responses at the end and along its training."""
    items = [f"item-{number:03d}" for number in range(30)]
    made = write_run(
        tmp_path / "base",
        cost_rows("base", 0.6, num_items=30, num_samples=1, tasks=("alpha",)),
        metrics=[{"step": 0, "loss": 1.0}, {"step": 10, "loss": 0.5}],
        generations=[row(item) for item in items],
    )
    append_jsonl(made / "probe.jsonl", [row(item, step) for step in (0, 10) for item in items[:9]])
    return made


def test_a_report_leaves_out_what_was_cut_off_and_says_so(run, capsys):
    for name in ("generations", "probe", "metrics"):
        tear(run / f"{name}.jsonl")
    study = read_comparison([run])
    assert len(study.arms[0].metrics) == 1
    assert read_traces(study).num_responses == 29 + 17
    assert num_probed_items(study.arms[0]) == 9
    said = capsys.readouterr().out
    for name, line in (("generations", 30), ("probe", 18), ("metrics", 2)):
        assert said.count(f"{run}/{name}.jsonl, line {line}: cut off, so it is left out") == 1


def test_a_report_stops_at_responses_that_two_processes_wrote(run):
    (arm,) = read_comparison([run]).arms
    append_jsonl(run / "generations.jsonl", [row("item-004")])
    with pytest.raises(UserError, match="line 31: same task, item, sample, step as line 5; two"):
        list(places(arm))


def test_a_probe_that_was_cut_off_in_its_first_line_counts_no_items(run):
    (arm,) = read_comparison([run]).arms
    (run / "probe.jsonl").write_text('{"step": 0, "task"')
    assert num_probed_items(arm) is None


def test_traces_are_made_again_if_their_cost_was_not_written_any_more(tmp_path):
    config = tmp_path / "traces.yaml"
    shipped = yaml.safe_load((ROOT / "recipes/configs/tiny/traces.yaml").read_text())
    config.write_text(yaml.safe_dump({**shipped, "output_dir": str(tmp_path), "prompts": "gone"}))
    traces = tmp_path / "traces.jsonl"
    append_jsonl(traces, [{"item": "a"}])
    ensure_traces(traces, str(config), SINGLE)  # copied from elsewhere, so it is as it is
    write_json(tmp_path / "run.json", {"traces": {"traces_sha256": "known"}})
    ensure_traces(traces, str(config), SINGLE)
    write_json(tmp_path / "run.json", {"traces": {}})
    with pytest.raises(UserError, match="gone"):
        ensure_traces(traces, str(config), SINGLE)


def test_a_lock_that_a_killed_process_left_holds_nobody(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from handan import rundir\n"
        "with rundir.lock(Path(sys.argv[1]), 0): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert python(code, tmp_path).returncode == -signal.SIGKILL
    assert (tmp_path / ".lock").read_text()
    assert rundir.lock_holder(tmp_path) is None
    with rundir.lock(tmp_path, 0):
        pass


def test_a_file_system_without_locks_is_refused(tmp_path):
    # No file system here lacks them, so the system is told to answer as one would.
    code = (
        "import sys; from pathlib import Path; from handan import errors, rundir\n"
        "errors.run_main(lambda: rundir.lock(Path(sys.argv[1]), 0).__enter__())"
    )
    inject = ["strace", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"]
    try:
        done = subprocess.run(
            [*inject, sys.executable, "-c", code, tmp_path],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("no strace to inject the error with")
    if "strace:" in done.stderr:
        pytest.skip(f"strace is not allowed here: {done.stderr.strip()[:200]}")
    told = one_sentence(done)
    assert f"{tmp_path}: its file system has no locks (No locks available)" in told


def test_a_run_directory_that_is_a_file_or_closed_is_told(tmp_path):
    (tmp_path / "run").touch()
    with (
        pytest.raises(UserError, match=re.escape(f"{tmp_path}/run is a file, not a directory")),
        rundir.lock(tmp_path / "run", 0),
    ):
        pass
    code = "errors.run_main(rundir.lock(Path(sys.argv[1]), 0).__enter__)"
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        for place, named in ((folder, f"{folder}/.lock"), (f"{folder}/run", f"{folder}/run")):
            told = one_sentence(as_nobody(code, place))
            assert f"{named}: cannot be written (Permission denied)" in told


def test_processes_other_than_the_first_write_nothing(tmp_path):
    with rundir.lock(tmp_path / "run", 1):
        assert not (tmp_path / "run").exists()
