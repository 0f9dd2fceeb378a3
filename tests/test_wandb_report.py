"""The W&B report: its spec is read back, names only what is logged, and needs no network."""

import json
import os
import re
import subprocess
import sys
import threading
import unicodedata
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import wandb_workspaces.reports.v2 as wr
from report_runs import cost_rows, experiment, trained, write_run

from handan.cli import command
from handan.errors import UserError
from handan.evaluation.evaluate import budget_metrics, suite_metrics
from handan.evaluation.resource_estimate import Size
from handan.files import append_jsonl, read_json, write_json
from handan.launch import SINGLE
from handan.report.comparison import read_comparison
from handan.report.page import read_address
from handan.report.plot_styles import looks
from handan.report.wandb_report import AXES, MEAN_R, START, STEP, Address, read_back, validated
from handan.training.ledger import Ledger
from handan.training.trackers import item_table

ADDRESS = Address("team", "handan")
TRAINED = ("sft", "grpo", "sft_own")
HOSTILE = "it's \"a\" == 'b' or Config('x') = 1 <b>bold</b> [l](javascript:alert(2)) ${run:id} "
HOSTILE += "$x^2$ [[ ${x} ]] \x1b[31m \u202eright to left| *b* &lt; ~~c~~ `d`"
KEY = "0123456789" * 4
NO_NETWORK = """
import socket, sys

def refused(*arguments, **options):
    raise OSError("there is no network here")

socket.socket.connect = socket.getaddrinfo = refused
from handan.errors import run_main
from handan.cli import command

run_main(lambda: command(sys.argv[1:]))
"""


def rows_of_a_training(arm, run_dir, tasks=("alpha", "beta"), steps=(0, 20)):
    """Rows of metrics.jsonl as a run writes them, by the code that makes them."""
    ledger = Ledger(run_dir, SINGLE)
    ledger.size = Size(10, 10)
    first = cost_rows(arm, 0.2, num_items=20, tasks=tasks, greedy=False)
    for step in steps:
        costs = cost_rows(arm, 0.2 - 0.03 * step, num_items=20, tasks=tasks, greedy=False)
        ledger.counts |= {"trained_tokens": 100 * step, "train_seconds": 1.0 + step}
        yield {
            "step": step,
            **suite_metrics(costs, first if step else None),
            **budget_metrics(ledger.budget()),
        }


def log_to_wandb(run_dir, run=None, **kinds):
    """Give a run what training leaves: its curves, and which W&B run it was."""
    written = read_json(run_dir / "run.json")
    append_jsonl(
        run_dir / "metrics.jsonl", list(rows_of_a_training(written["arm"], run_dir, **kinds))
    )
    if run is not None:
        written["training"]["wandb"] = run
        write_json(run_dir / "run.json", written)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    made = experiment(folder, sft={"r": 0.1})
    for arm in TRAINED:
        run = {"id": f"{arm}-1a2b", "name": arm, "project": "study", "entity": None}
        log_to_wandb(folder / arm, run | {"mode": "offline"})
    return made


@pytest.fixture(scope="module")
def study(runs):
    return read_comparison(runs)


@pytest.fixture(scope="module")
def spec(study):
    return json.loads(validated(study, ADDRESS))


def grids(spec):
    return [block["metadata"] for block in spec["spec"]["blocks"] if block["type"] == "panel-grid"]


def panels(spec, kind=None):
    found = [panel for of in grids(spec) for panel in of["panelBankSectionConfig"]["panels"]]
    return [panel for panel in found if kind in (None, panel["viewType"])]


def lines(spec):
    return {
        panel["config"]["chartTitle"]: panel["config"]
        for panel in panels(spec, "Run History Line Plot")
    }


def texts(part):
    """Every text that a reader of the report sees, wherever it is."""
    shown = ("text", "content", "description", "chartTitle", "xAxisTitle", "yAxisTitle", "title")
    if isinstance(part, dict):
        for key, value in part.items():
            if isinstance(value, str) and (key in shown or (key == "name" and "runFeed" in part)):
                yield value
            elif key == "overrideSeriesTitles":
                yield from value.values()
            else:
                yield from texts(value)
    elif isinstance(part, list):
        for each in part:
            yield from texts(each)


def test_the_spec_is_what_wandb_workspaces_reads_back(study):
    text = validated(study, ADDRESS)
    model = read_back(text)
    assert json.loads(model.model_dump_json(by_alias=True, exclude_none=True)) == json.loads(text)
    loaded = wr.Report._from_model(model)
    assert (loaded.entity, loaded.project) == ADDRESS
    unknown = wr.interface.UnknownBlock, wr.interface.UnknownPanel
    of_grids = [panel for block in loaded.blocks for panel in getattr(block, "panels", [])]
    assert of_grids
    assert not [part for part in (*loaded.blocks, *of_grids) if isinstance(part, unknown)]


def test_the_same_runs_give_the_same_spec(study, spec):
    assert json.loads(validated(study, ADDRESS)) == spec


def test_every_arm_with_a_run_has_a_run_set_of_its_own(spec):
    for grid in grids(spec):
        found = {of["name"]: of for of in grid["runSets"]}
        assert list(found) == ["teacher", *TRAINED]
        for arm in TRAINED:
            (asked,) = found[arm]["filters"]["filters"]
            assert asked["key"] == {"section": "run", "name": "name"}
            assert (asked["op"], asked["value"]) == ("=", f"{arm}-1a2b")
            assert found[arm]["project"] == {"name": "study", "entityName": "team"}
        # Its run is not recorded, so it is looked for by its name.
        (asked,) = found["teacher"]["filters"]["filters"]
        assert asked["key"] == {"section": "config", "name": "arm"}
        assert asked["value"] == "teacher"
    shown = list(texts(spec))
    assert "base (base model): no W&B run; in the text and the tables only" in shown


def test_arms_keep_their_colours_and_differ_in_dashes(study, spec):
    every_look = looks(study.arms)
    for config in lines(spec).values():
        metric = config["metrics"][0]
        for arm in TRAINED:
            colour = config["overrideColors"][f"{arm}-1a2b:{metric}"]["color"]
            assert colour == every_look[arm].light
        marks = [config["overrideMarks"][f"{arm}-1a2b:{metric}"] for arm in TRAINED]
        assert len(set(marks)) == len(marks)


def test_panels_name_only_what_these_runs_log(runs, study, spec):
    logged = {key for arm in study.arms for row in arm.metrics for key in row} | {STEP}
    for config in lines(spec).values():
        assert {config["xAxis"], *config["metrics"]} <= logged
    summary = {f"summary:{key}" for key in (*logged, START + MEAN_R)}
    for panel in panels(spec, "Scatter Plot"):
        assert {panel["config"]["xAxis"], panel["config"]["yAxis"]} <= summary
    for panel in panels(spec, "Parallel Coordinates Plot"):
        assert {column["accessor"] for column in panel["config"]["columns"]} <= summary


def test_the_item_panels_name_columns_of_the_items_that_trackers_get(spec):
    (scatter,), (table,) = panels(spec, "Vega2"), panels(spec, "Weave")
    response = {"step": 0, "task": "t", "item": "i", "sample": 0, "status": "complete"}
    response |= {"correct": True, "reasoning_tokens": 4, "text": ""}
    columns, _ = item_table([response], {})
    assert set(scatter["config"]["fieldSettings"].values()) <= set(columns)
    (asked,) = scatter["config"]["userQuery"]["queryFields"][0]["fields"][0]["args"]
    inputs = table["config"]["panel2Config"]["exp"]["fromOp"]["inputs"]
    assert asked["value"] == inputs["key"]["val"] == "tables/probe"


def test_alignment_is_drawn_over_every_axis_with_its_bounds(spec):
    drawn = [of for of in lines(spec).values() if of["metrics"][0] == MEAN_R]
    assert [of["xAxis"] for of in drawn] == list(AXES)
    for config in drawn:
        assert config["metrics"] == [MEAN_R, f"{MEAN_R}_ci_low", f"{MEAN_R}_ci_high"]
        assert config["smoothingType"] == "none"
    titles = drawn[0]["overrideSeriesTitles"]
    assert titles[f"sft-1a2b:{MEAN_R}_ci_low"] == "sft, lower bound"
    assert titles[f"sft-1a2b:{MEAN_R}_ci_high"] == "sft, upper bound"


def test_accuracy_length_inflation_and_every_task_are_drawn(spec):
    drawn = {of["metrics"][0] for of in lines(spec).values()}
    assert {"status/accuracy", "cost/reasoning_tokens", "status/cap_rate"} < drawn
    assert {"inflation/k", "inflation/b"} < drawn
    assert {"alignment/alpha/r_loglog", "alignment/beta/r_loglog"} < drawn
    bounds = lines(spec)["alpha"]["metrics"][1:]
    assert bounds == [f"alignment/alpha/r_loglog{end}" for end in ("_ci_low", "_ci_high")]


def test_the_verdicts_stand_in_the_report_with_their_intervals(spec):
    shown = "\n".join(texts(spec)).replace("\N{NO-BREAK SPACE}", " ")
    shown = shown.replace("\N{MINUS SIGN}", "-")
    assert "The SFT student against the base model: negative transfer" in shown
    assert re.search(r"difference -\.\d\d \[-\.\d\d, -\.\d\d\], n = 240 items", shown)
    assert "One run of each arm" in shown
    assert "human ceiling" in shown


def test_runs_without_curves_say_so_and_have_no_panels(tmp_path):
    spec = json.loads(validated(read_comparison(experiment(tmp_path)), ADDRESS))
    assert grids(spec) == []
    assert any("train with --report_to wandb" in text for text in texts(spec))


def test_hostile_names_stay_text_and_are_asked_for_as_they_are(tmp_path):
    rows = cost_rows("own", 0.5, num_items=20, tasks=(HOSTILE,), greedy=False)
    run = write_run(
        tmp_path / "own",
        [row | {"model": HOSTILE} for row in rows],
        arm=HOSTILE,
        training=trained("grpo"),
    )
    log_to_wandb(run, tasks=(HOSTILE,))
    spec = json.loads(validated(read_comparison([run]), ADDRESS))
    (asked,) = grids(spec)[0]["runSets"][0]["filters"]["filters"]
    assert asked["value"] == HOSTILE
    metrics = [metric for of in lines(spec).values() for metric in of["metrics"]]
    assert f"alignment/{HOSTILE}/r_loglog" in metrics
    shown = list(texts(spec))
    assert any("right to left" in text for text in shown)
    for text in shown:
        kinds = {unicodedata.category(character) for character in text.replace("\n", "")}
        assert not kinds & {"Cc", "Cf"}, text
    for panel in panels(spec):
        for text in texts(panel):
            assert "${" not in text and "[[" not in text
    for block in spec["spec"]["blocks"]:
        for child in block.get("children", []):
            assert child.get("type") not in ("link", "latex")
        for part in (block, *block.get("collapsedChildren", [])):
            content = part.get("content", "")
            # In a table a mark of Markdown means something only where it is not escaped: by a
            # backslash, as an entity, or alone in a span.
            left = re.sub(r"<span>[^<>]{1,3}</span>|&(?:lt|gt|amp|quot|#\d+);", "", content)
            assert not re.search(r"(?<!\\)(?:[<>$&~`*]|\[l)", left), content


def run_report(tmp_path, program, *words, **environment):
    """``handan report`` in a process of its own, of a user who is not logged in to W&B."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    result = subprocess.run(
        [sys.executable, *program, "report", *map(str, words)],
        capture_output=True,
        text=True,
        env={**kept, "HOME": str(home)} | environment,
        check=False,
    )
    assert not (home / ".netrc").exists()
    return result


def test_offline_needs_no_network_no_key_and_no_home(runs, tmp_path, spec):
    output = tmp_path / "out" / "spec.json"
    words = ("--wandb", "team/handan", "--offline", output, "--runs", *runs)
    result = run_report(tmp_path, ("-c", NO_NETWORK), *words)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"wrote {output}" in result.stdout
    assert json.loads(output.read_text()) == spec


def test_without_a_key_the_cure_is_named_and_the_page_is_there(runs, tmp_path):
    page = tmp_path / "out" / "report.html"
    words = (runs[0], "--wandb", "team/handan", "--output", page)
    result = run_report(tmp_path, ("-c", NO_NETWORK), *words)
    assert result.returncode == 2
    (sentence,) = result.stderr.splitlines()
    assert "wandb login" in sentence and "--offline" in sentence
    assert page.exists()


@pytest.fixture
def server():
    """What W&B answers to the questions that saving a report asks; it knows one project."""
    saved = {}

    def answer(query, variables):
        if "upsertView" in query:
            saved.update(variables)
            project = {"name": variables["projectName"], "entityName": variables["entityName"]}
            view = {"id": "Vmlldzox", "displayName": variables["displayName"], "project": project}
            return {"upsertView": {"view": view | {"spec": variables["spec"]}}}
        if "internalId" in query:
            known = variables["projectName"] == "handan"
            return {"project": {"id": "1", "internalId": "one"} if known else None}
        if "viewer" in query:
            return {"viewer": {"id": "1", "entity": "team", "username": "me", "flags": "{}"}}
        node = {"id": "1", "name": "handan", "entityName": "team", "createdAt": "2026-01-01"}
        pages = {"endCursor": None, "hasNextPage": False}
        edge = {"node": node | {"isBenchmark": False, "user": None}, "cursor": "one"}
        return {"models": {"edges": [edge], "pageInfo": pages}}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = json.loads(body) if self.path == "/graphql" else {"query": "", "variables": {}}
            data = json.dumps({"data": answer(asked["query"], asked.get("variables") or {})})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(data.encode())

        def log_message(self, *arguments):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield {
        "saved": saved,
        "WANDB_BASE_URL": f"http://127.0.0.1:{http.server_port}",
        "WANDB_API_KEY": KEY,
    }
    http.shutdown()
    http.server_close()


def save_to(server, tmp_path, project):
    run = write_run(tmp_path / "one", cost_rows("one", 0.5, num_items=20), training=trained("grpo"))
    log_to_wandb(run)
    environment = {name: value for name, value in server.items() if name.startswith("WANDB")}
    words = (run, "--wandb", f"team/{project}")
    return run, run_report(tmp_path, ("-m", "handan"), *words, **environment)


def test_the_saved_report_is_the_validated_one_with_its_project_looked_up(server, tmp_path):
    run, result = save_to(server, tmp_path, "handan")
    assert result.returncode == 0, result.stderr
    assert f"saved {server['WANDB_BASE_URL']}/team/handan/reports/" in result.stdout
    sent = {"spec": json.loads(server["saved"]["spec"])}
    expected = json.loads(validated(read_comparison([run]), ADDRESS))
    for grid in grids(sent):
        for run_set in grid["runSets"]:
            assert run_set["project"].pop("id") == "one"
    assert sent["spec"] == expected["spec"]
    assert KEY not in result.stdout + result.stderr + server["saved"]["spec"]


def test_an_unknown_project_is_named_with_the_cure(server, tmp_path):
    _, result = save_to(server, tmp_path, "elsewhere")
    assert result.returncode == 2
    sentence = result.stderr.splitlines()[-1]
    assert "team/elsewhere" in sentence and "--offline" in sentence
    assert "Traceback" not in result.stderr
    assert server["saved"] == {}


def test_no_key_is_in_the_spec(study, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert KEY not in validated(study, ADDRESS)


def test_the_page_alone_loads_nothing_of_wandb(runs, tmp_path):
    program = "import sys; from handan.cli import command; command(sys.argv[1:]); "
    program += "sys.exit('wandb' in sys.modules or 'wandb_workspaces' in sys.modules)"
    words = ["report", str(runs[0]), "--output", str(tmp_path / "report.html")]
    assert subprocess.run([sys.executable, "-c", program, *words], check=False).returncode == 0


@pytest.mark.parametrize("address", ["", "team", "team/", "/handan", "a/b/c", "te am/x", "t/a b"])
def test_a_wrong_address_is_refused(address):
    with pytest.raises(UserError, match=r"--wandb '.*': give ENTITY/PROJECT"):
        read_address(address)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run"], "nothing is asked for"),
        (["run", "--output", "a.html", "--offline", "b.json"], "give that too"),
        (["run", "--wandb", "team"], "ENTITY/PROJECT"),
        (["run", "--wandb", "team/handan", "--offline", "b.json"], "no such run directory"),
    ],
)
def test_wrong_options_are_told_in_one_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=sentence):
        command(["report", *words])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(UserError, match=r"pip install 'handan\[wandb-reports\]'"):
        read_address("team/handan")
