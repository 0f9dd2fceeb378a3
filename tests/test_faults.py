"""Real kills, a few; `make soak` has the many. And that the harness finds what it looks for."""

import random
import signal
from contextlib import chdir

import fault_chains
import faults
import pytest
import recipe_runs
import report_runs
from embedded import ROOT, small_suite
from fault_chains import differences, soak
from fault_stages import EVALUATED, LOGGED, PAGE, TRAINED, evaluation
from faults import Kill, Reference, Stage, draw_kills, measure

from handan.cli import command
from handan.evaluation.evaluate import evaluate
from handan.evaluation.suite import load_suite
from handan.generation.engines import load_engine, open_engine
from handan.launch import SINGLE


@pytest.fixture(autouse=True)
def interruptible():
    """A shell lets what it starts in the background ignore Ctrl-C, and all that this starts too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def rng():
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # shown if the test fails
    return random.Random(seed)


def survive(stage, folder, kills, reference, rng):
    # Moments are events and not seconds, so the times of a reference hardly matter.
    tally = soak(stage, folder, kills, rng, Reference(reference, seconds=10, first_s=5))
    assert tally.faults == []
    assert sum(tally.kills.values()) == len(kills)
    return tally


def test_a_training_killed_within_a_save_and_at_a_row_ends_the_same(small, trained, tmp_path, rng):
    words = map(str, recipe_runs.arguments("sft_distill", small, "OUT"))
    stage = Stage("sft", tuple(words), TRAINED, LOGGED, "training", saves=True)
    number = rng.choice(faults.SIGNALS)
    kills = [
        Kill(signal.SIGKILL, "ledger", 0.0, "process"),
        Kill(number, "row", rng.random() / 2, "group"),
    ]
    survive(stage, tmp_path, kills, trained("sft_distill"), rng)


def test_an_evaluation_killed_and_asked_to_stop_ends_the_same(tmp_path, rng):
    suite, whole = small_suite(tmp_path), tmp_path / "whole"
    model = "handan/tiny/weights/base"
    with chdir(ROOT):
        engine = open_engine(load_engine(None), model)
        evaluate(engine, load_suite(suite), whole, "base", model, SINGLE)
    words = evaluation(suite, model, "OUT", "base")
    stage = Stage("evaluation", words, EVALUATED, ("generations.jsonl",), "evaluation")
    kills = [
        Kill(number, "row", rng.random(), "process")
        for number in (signal.SIGKILL, rng.choice((signal.SIGTERM, signal.SIGINT)))
    ]
    survive(stage, tmp_path, kills, whole, rng)


def test_a_killed_report_is_written_whole_the_next_time(tmp_path, rng):
    rows = {arm: report_runs.cost_rows(arm, 0.5, num_items=30) for arm in ("base", "sft")}
    runs = [report_runs.write_run(tmp_path / arm, of_arm) for arm, of_arm in rows.items()]
    whole = tmp_path / "whole"
    whole.mkdir()
    words = ("report", *map(str, runs), *PAGE)
    with chdir(whole):
        command(words)
    same = ("report.html", "alignment.json")
    stage = Stage("report", ("-m", "handan", *words), same, listens=False, inside=True)
    survive(stage, tmp_path, [Kill(signal.SIGKILL, "save", 0.0, "process")], whole, rng)


# Appends ten rows, going on after those that are there; {0} is where a mistake fits in.
ROWS = """
import sys, time
from pathlib import Path
from handan.files import append_jsonl, write_json
from handan.rundir import recover
path = Path(sys.argv[1]) / "rows.jsonl"
done = len(recover(path, ("row",), unique=False))
{0}
for row in range(done, 10):
    append_jsonl(path, [{{"row": row}}])
    time.sleep(0.05)
write_json(path.with_name("sum.json"), 10)
"""


def rows_stage(mistake=""):
    words = ("-c", ROWS.format(mistake), "OUT")
    return Stage("rows", words, ("sum.json",), ("rows.jsonl",), listens=False)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return measure(rows_stage(), tmp_path_factory.mktemp("rows") / "reference")


def kill_rows(stage, folder, reference):
    kills = [Kill(signal.SIGKILL, "row", share, "process") for share in (0.1, 0.3)]
    return soak(stage, folder, kills, random.Random(3), reference)


def test_a_stage_that_goes_on_well_has_no_faults(tmp_path, undisturbed):
    tally = kill_rows(rows_stage(), tmp_path, undisturbed)
    assert tally.faults == []
    assert tally.kills == {"SIGKILL": 2} and tally.codes == {-9: 2}
    assert not list(tmp_path.iterdir())  # nothing is kept of what is well


@pytest.mark.parametrize(
    ("mistake", "fault"),
    [
        ("done = max(done - 1, 0)", "rows.jsonl: 11 rows, not 10"),
        ("done += done > 0", "rows.jsonl: 9 rows, not 10"),
        ("assert not done", "ended by itself with exit code 1"),
    ],
)
def test_doubled_and_lost_rows_and_failed_resumes_are_found(tmp_path, undisturbed, mistake, fault):
    stage = rows_stage(mistake)
    kill = Kill(signal.SIGKILL, "row", 0.1, "process")
    tally = soak(stage, tmp_path, [kill], random.Random(3), undisturbed)
    assert fault in tally.faults[0]
    assert (tmp_path / "chain-1").exists()  # to look into


def test_a_process_that_goes_on_alone_is_found_and_ended(tmp_path, undisturbed, monkeypatch):
    monkeypatch.setattr(faults, "GRACE_S", 0.2)
    start = "import subprocess; subprocess.Popen(['sleep', '60'])"
    kill = Kill(signal.SIGKILL, "row", 0.1, "process")
    tally = soak(rows_stage(start), tmp_path, [kill], random.Random(3), undisturbed)
    assert tally.survivors >= 1 and "1 processes went on after" in tally.faults[0]


def test_an_answer_to_a_signal_that_is_not_documented_is_found(tmp_path, undisturbed):
    deaf = "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))"
    kill = Kill(signal.SIGTERM, "row", 0.1, "process")
    tally = soak(rows_stage(deaf), tmp_path, [kill], random.Random(3), undisturbed)
    assert "exit code 3 after" in tally.faults[0]


def test_half_a_line_is_left_only_where_it_is_written_again(tmp_path, undisturbed):
    stage = rows_stage()
    (tmp_path / "rows.jsonl").write_text('{"row": 0}\n')
    assert fault_chains.tear(stage, tmp_path) == [tmp_path / "rows.jsonl"]
    assert fault_chains.torn_tables(stage, tmp_path) == [tmp_path / "rows.jsonl"]
    (tmp_path / "alignment.json").write_text("{}")
    assert fault_chains.tear(stage, tmp_path) == []


def test_times_do_not_count_and_everything_else_does(tmp_path, undisturbed):
    for name, row in (("here", '{"row": 0, "train_seconds": 1}'), ("there", '{"row": 0}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.jsonl").write_text(row + "\n")
        (tmp_path / name / "sum.json").write_text("10")
    stage = rows_stage()
    assert differences(stage, tmp_path / "here", tmp_path / "there") == []
    (tmp_path / "here" / "sum.json").write_text("11")
    (tmp_path / "here" / "x.partial").touch()
    assert differences(stage, tmp_path / "here", tmp_path / "there") == [
        "sum.json has other bytes",
        "x.partial is left behind",
    ]


def test_kills_of_a_seed_are_the_same_and_have_every_signal():
    stage = Stage("any", (), (), ("rows.jsonl",), saves=True)
    kills = draw_kills(stage, 30, random.Random(5))
    assert (
        kills == draw_kills(stage, 30, random.Random(5)) != draw_kills(stage, 30, random.Random(6))
    )
    assert {kill.number for kill in kills} == set(faults.SIGNALS)
    assert {kill.aim for kill in kills} == set(faults.AIMS)
    assert all(kill.number == signal.SIGKILL for kill in kills if kill.aim == "ledger")
