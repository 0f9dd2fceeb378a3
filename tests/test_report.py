"""The page as a file: what is on it, what happens with missing parts, and that text stays text."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from report_runs import CONDITIONS, cost_rows, experiment, trained, write_run

from handan.alignment.measures import BY_KEY
from handan.errors import UserError
from handan.files import append_jsonl
from handan.formatting import UNKNOWN, correlation
from handan.report import report_tables
from handan.report.page import write

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)> $x^2$ {{ 7 * 7 }}"
HOSTILE += " \x1b[31m\u202eright to left\u202c [link](javascript:alert(3))"


class Page(HTMLParser):
    """Tags with their attributes, the text outside of styles and scripts, and the scripts.

    ``data`` are the parsed contents of JSON scripts by id, ``programs`` the texts of the others.
    """

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.data, self.programs, self._inside = [], "", {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag if tag in ("style", "script") else None

    def handle_data(self, data):
        attributes = self.tags[-1][1] if self.tags else {}
        if self._inside is None:
            self.text += data.replace("\N{NO-BREAK SPACE}", " ")
        elif self._inside == "script" and attributes.get("type") == "application/json":
            self.data[attributes["id"]] = json.loads(data)
        elif self._inside == "script":
            self.programs.append(data)

    def handle_endtag(self, tag):
        self._inside = None


def page_of(runs, folder):
    output = folder / "out" / "report.html"
    write(runs, output)
    return output.read_text(encoding="utf-8")


def probes(steps=(0, 10, 20)):
    """Rows of metrics.jsonl as a trainer with a probe writes them."""
    rows = []
    for step in steps:
        rows.append({"step": step, "loss": 1.0, "num_tokens": 100 * step})
        rows.append(
            {
                "step": step,
                "alignment/mean_r_loglog": -0.2 + 0.02 * step,
                "alignment/mean_r_loglog_ci_low": -0.4,
                "alignment/mean_r_loglog_ci_high": 0.5,
                "status/accuracy": 0.5,
                "cost/reasoning_tokens": 30.0,
                "alignment/alpha/r_loglog": 0.1,
                "alignment/beta/r_loglog": 0.2,
            }
        )
    return rows


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folder of a whole experiment with its page: SFT has lost what its teacher had."""
    folder = tmp_path_factory.mktemp("study")
    runs = experiment(folder, sft={"r": 0.1})
    append_jsonl(folder / "grpo" / "metrics.jsonl", probes())
    write(runs, folder / "out" / "report.html")
    return folder


@pytest.fixture(scope="module")
def page_text(study):
    return (study / "out" / "report.html").read_text(encoding="utf-8")


def test_the_page_and_the_figures_are_written(study, page_text):
    figures = json.loads((study / "out" / "alignment.json").read_text())
    assert set(figures["models"]) >= {"base", "base (T=0)", "sft", "grpo", "sft_own", "teacher"}
    assert {"contrasts", "inflation", "settings", "groups"} <= set(figures)
    page = Page(page_text).text
    for part in ("The answer in these runs", "Format control", "Inflation", "Glossary"):
        assert part in page
    assert "Negative transfer." in page
    assert "control: SFT from base on traces of grpo" in page
    assert f"handan report {study}" in page


def test_the_verdict_on_the_page_changes_with_the_numbers(page_text, tmp_path):
    same = Page(page_of(experiment(tmp_path), tmp_path)).text
    assert "Negative transfer." not in same
    assert "Preserved within ±.1." in same
    assert "Negative transfer." in Page(page_text).text


def test_negative_correlations_are_shown_negative(tmp_path):
    run = write_run(tmp_path / "one", cost_rows("one", -0.7, tasks=("alpha",)))
    text = Page(page_of([run], tmp_path)).text
    figures = json.loads((tmp_path / "out" / "alignment.json").read_text())["models"]["one"]
    assert figures["mean_r_loglog"] < -0.5
    assert correlation(figures["mean_r_loglog"]).startswith("\N{MINUS SIGN}.")
    assert correlation(figures["mean_r_loglog"]) in text


def test_an_unknown_r_is_a_single_dash():
    unknown = {"r_loglog": None, "r_loglog_ci": None}
    assert report_tables.joined(report_tables._r(unknown)) == UNKNOWN


def test_the_glossary_names_reliability_as_the_columns_do(page_text):
    heading = report_tables._header(BY_KEY["reliability_model"])
    assert f"<dt>{heading}</dt>" in page_text
    assert re.search(rf"<th[^>]*>\s*{heading}", page_text)


def test_the_axis_of_tokens_says_no_more_than_all_of_them_have_in_common():
    axes = [BY_KEY[key].axis for key in ("mean_tokens", "geometric_mean_tokens")]
    assert axes == ["tokens a response"] * 2


def test_every_measured_step_is_there_in_numbers(page_text):
    table = page_text.split('aria-label="Measured steps"')[1].split("</table>")[0]
    rows = [re.split("<t[hd]", row) for row in table.split("<tr")[2:]]
    steps = [[Page(f"<td{cell}").text.strip() for cell in row[1:]] for row in rows]
    assert [row[1] for row in steps] == ["0", "10", "20"]
    assert all("grpo" in row[0] for row in steps)
    minus = "\N{MINUS SIGN}"
    bounds = f"[{minus}.40, .50]"
    assert [row[3] for row in steps] == [f"{r}{bounds}" for r in (f"{minus}.20", ".00", ".20")]


def policy_of(page):
    """The sources of scripts that the page allows."""
    policy = next(
        attributes["content"]
        for tag, attributes in page.tags
        if tag == "meta" and "http-equiv" in attributes
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    return rules["script-src"].split()


def test_nothing_is_loaded_from_elsewhere_and_only_the_pages_own_scripts_run(page_text):
    assert "@import" not in page_text
    page = Page(page_text)
    assert not re.search(r"https?://", page.text)
    digests = [hashlib.sha256(program.encode()).digest() for program in page.programs]
    own = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    assert policy_of(page) == own and len(own) >= 2
    assert not {"iframe", "object", "embed", "img"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href"):
            # The colour bar of a figure is a picture inside the page.
            inside = ("#", "data:,", "data:image/png;base64,")
            assert attributes.get(name, "#").startswith(inside)
    # Whatever url() there is outside of scripts refers to the figure it is in.
    for program in page.programs:
        page_text = page_text.replace(program, "")
    assert set(re.findall(r"url\((.)", page_text)) == {"#"}


def test_hostile_names_and_texts_stay_text(tmp_path):
    rows = cost_rows("evil", 0.5, num_items=20, greedy=False)
    arm = f"evil {HOSTILE}"
    task = "alpha"
    times = sorted((row["human_rt_s"], row["item"]) for row in rows if row["task"] == task)
    item = times[-1][1]
    generations = [
        {
            "task": task,
            "item": item,
            "sample": 0,
            "text": f"<think>{HOSTILE}</think>{HOSTILE}",
            "status": HOSTILE,
            "correct": True,
            "reasoning_tokens": 12,
        }
    ]
    items = [{"task": task, "item": item, "question": HOSTILE, "answer": HOSTILE}]
    run = write_run(
        tmp_path / "evil",
        rows,
        arm=arm,
        generations=generations,
        items=items,
        training=trained("grpo") | {"command": HOSTILE, "recipe": HOSTILE},
        start=HOSTILE,
        metrics=probes(),
        conditions=CONDITIONS | {"suite": HOSTILE},
    )
    text = page_of([run], tmp_path)
    page = Page(text)
    assert "img" not in {tag for tag, _ in page.tags}
    assert len(page.programs) == len(policy_of(page))
    assert not any("alert" in program for program in page.programs)
    shown = page.data["charts"]["data"]["items"]["rows"][0][0]
    assert shown.startswith("evil </style><script>alert(1)</script>")
    assert page.text.count("<script>alert(1)</script>") >= 6
    assert "{{ 7 * 7 }}" in page.text
    assert "$x^2$" in page.text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_ids_are_unique_and_every_figure_is_described(page_text):
    tags = Page(page_text).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    figures = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(figures) >= 3
    for attributes in figures:
        assert attributes["role"] == "img"
        assert set(attributes["aria-labelledby"].split()) <= set(ids)
    charts = [attributes for _, attributes in tags if attributes.get("class") == "chart"]
    # 2 tasks of 5 arms, 5 measures along training, 2 tasks of 3 arms with their base
    assert len(charts) == 10 + 5 + 6
    for attributes in charts:
        assert attributes["role"] == "img"
        assert attributes["aria-label"]
        assert attributes["aria-describedby"] in ids


def test_every_part_but_the_costs_may_be_missing(tmp_path):
    run = write_run(
        tmp_path / "lone", cost_rows("lone", 0.5, num_items=20, tasks=("alpha",), greedy=False)
    )
    (run / "config.yaml").unlink()
    page = Page(page_of([run], tmp_path)).text
    for plain_statement in (
        "there is no verdict",
        "No arm's base is among these runs",
        "None of these runs recorded a course of training",
        "There are no two arms to contrast.",
        "All tasks of these runs have people's times.",
        "so there is no ceiling",
        "None of these runs holds a response",
        "the format itself is not controlled",
    ):
        assert plain_statement in page


def test_runs_without_people_make_no_claim_about_people(tmp_path):
    runs = []
    for arm, training in (("base", None), ("grpo", trained("grpo"))):
        rows = cost_rows(arm, 0.5, num_items=20, tasks=(), analytic=("alpha",))
        start = "base weights" if training else None
        runs.append(write_run(tmp_path / arm, rows, training=training, start=start))
    page = Page(page_of(runs, tmp_path)).text
    assert "nothing can be said about people" in page
    assert "grpo against base: preserved within ±.1" in page


def test_analytic_tasks_are_never_in_the_human_mean(tmp_path):
    runs = [
        write_run(tmp_path / arm, cost_rows(arm, r, num_items=30, tasks=("alpha",), analytic=["b"]))
        for arm, r in (("one", 0.2), ("two", 0.8))
    ]
    page_of(runs, tmp_path)
    models = json.loads((tmp_path / "out" / "alignment.json").read_text())["models"]
    for model in models.values():
        assert model["mean_tasks"] == ["alpha"]


def test_a_group_of_another_suite_has_a_section_of_its_own(tmp_path):
    other = CONDITIONS | {"suite": "flat", "suite_hash": "another"}
    flat = []
    for arm, training in (("base_flat", None), ("grpo_flat", trained("grpo"))):
        rows = [row | {"oracle_tokens": 36.0} for row in cost_rows(arm, 0.1, num_items=30)]
        start = "base_flat weights" if training else None
        flat.append(
            write_run(tmp_path / arm, rows, training=training, start=start, conditions=other)
        )
    rows = [cost_rows(name, 0.5, num_items=30) for name in ("a", "b", "c")]
    toy = [write_run(tmp_path / of[0]["model"], of) for of in rows]
    page = Page(page_of([*toy, *flat], tmp_path)).text
    assert "Suite 'flat': a group of its own, never contrasted with the arms above" in page
    assert "every flawless trace has the same length (36 tokens)" in page
    assert "The GRPO model grpo_flat against the base model base_flat" in page


def test_traces_count_in_the_students_budget(page_text, tmp_path):
    assert "the run that made them was not found" in page_text
    training = trained("sft_distill", "teacher", teacher_generated_tokens=158571)
    run = write_run(tmp_path / "sft", cost_rows("sft", 0.5, num_items=20), training=training)
    traces = tmp_path / "traces_teacher"
    traces.mkdir()
    made = {
        "traces_sha256": "traces of teacher",
        "counts": {
            "responses": 3000,
            "kept": 2839,
            "dropped": {"wrong": 150, "truncated": 11},
            "mean_reasoning_tokens_kept": 47.1,
            "mean_reasoning_tokens_dropped": 44.4,
        },
    }
    (traces / "run.json").write_text(json.dumps({"arm": "teacher", "traces": made}))
    page = Page(page_of([run, traces], tmp_path)).text
    assert "158,571" in page
    assert "2,839 of 3,000 responses kept; dropped: 150 wrong and 11 truncated" in page


def test_budgets_are_compared_among_arms_that_began_alike(tmp_path):
    runs = experiment(tmp_path / "runs")
    pairs = page_pairs(runs, tmp_path, 0.1)
    # The teacher began with other weights, the base was not trained.
    assert set(pairs) == {("sft", "grpo"), ("grpo", "sft_own"), ("sft", "sft_own")}
    trained_tokens = pairs["sft", "grpo"]["measures"][0]
    assert trained_tokens["ratio"] == 1 and trained_tokens["within"]
    text = Page((tmp_path / "report.html").read_text()).text
    assert "Whose budgets are matched" in text
    assert "1.00matched" in text


def test_a_sequence_is_compared_with_arms_that_began_where_it_began(tmp_path):
    first = trained("sft_distill", "teacher")
    chain = {"arm": "sft", "began_with": "base weights", "budget": first["budget"]}
    plans = {
        "base": (None, None),
        "sft": (first, "base weights"),
        "grpo": (trained("grpo", trained_tokens=2000), "base weights"),
        "sft_grpo": (trained("grpo") | {"started_from": chain}, "sft weights"),
    }
    runs = [
        write_run(tmp_path / arm, cost_rows(arm, 0.5, num_items=20), training=plan, start=start)
        for arm, (plan, start) in plans.items()
    ]
    pairs = page_pairs(runs, tmp_path, 0.1)
    assert set(pairs) == {("sft", "grpo"), ("grpo", "sft_grpo")}  # not with what it went on from
    assert pairs["grpo", "sft_grpo"]["measures"][0] | {"measure": None} == {
        **{"measure": None, "a": 2000, "b": 2000, "ratio": 1.0, "within": True}
    }
    contrasts = json.loads((tmp_path / "alignment.json").read_text())["contrasts"]
    assert ("sft_grpo", "grpo") in {(row["a"], row["b"]) for row in contrasts}


def page_pairs(runs, folder, tolerance):
    """Budgets in the alignment.json beside the page, by pair."""
    write(runs, folder / "report.html", tolerance)
    found = json.loads((folder / "alignment.json").read_text())["budgets"]
    return {(row["a"], row["b"]): row for row in found}


def test_wrong_input_names_the_file_and_the_cure(tmp_path):
    output = tmp_path / "out" / "report.html"
    with pytest.raises(UserError, match=r"nowhere: no such run directory; name"):
        write([tmp_path / "nowhere"], output)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: holds no run.json; name"):
        write([tmp_path / "empty"], output)
    run = write_run(tmp_path / "run", cost_rows("run", 0.5, num_items=5))
    (run / "run.json").write_text('{"arm": "run"}')
    with pytest.raises(UserError, match=r"run.json: no 'comparability'; evaluate"):
        write([run], output)
    (run / "run.json").write_text("[1]")
    with pytest.raises(UserError, match=r"run.json: expected a JSON object"):
        write([run], output)
    with pytest.raises(UserError, match="no evaluated run was named"):
        write([], output)


def test_a_runs_own_figures_are_not_replaced(tmp_path):
    run = write_run(tmp_path / "run", cost_rows("run", 0.5, num_items=5))
    with pytest.raises(UserError, match=r"would replace a run's own alignment.json"):
        write([run], run / "report.html")


def test_the_page_is_the_same_every_time(tmp_path):
    runs = [write_run(tmp_path / "run", cost_rows("run", 0.5, num_items=20))]
    assert page_of(runs, tmp_path) == page_of(runs, tmp_path)


def test_reports_need_neither_torch_nor_transformers():
    code = "import sys, handan.report; print({'torch', 'transformers', 'trl'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
