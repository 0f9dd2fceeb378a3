"""The trace browser: which responses the page stores, and what a reader can do with them."""

import json
import re
import shutil

import pytest
from report_runs import cost_rows, trained, write_run
from test_report import HOSTILE, Page, page_of
from test_report_browser import BROWSERS

from handan.errors import UserError
from handan.formats import FORMATS
from handan.records import append_jsonl
from handan.report.data import read_study
from handan.report.page import traces
from handan.report.page.responses import parts_of
from handan.report.page.traces import read_traces, spread_order

TASK = "alpha"
STEPS = (0, 10, 20, 40)


def response(item, sample=0, step=None, text=None, **columns):
    """A line of generations.jsonl, or of probe.jsonl if it has a step, in the order of keys in
    which they are written."""
    when = "at the end" if step is None else f"at step {step}"
    return {
        **({} if step is None else {"step": step}),
        **{"reasoning_format": "tiny", "task": TASK, "item": item, "sample": sample},
        **{"reasoning_tokens": 5, "answer_tokens": 2, "status": "complete", "correct": True},
        **{"text": text or f"thought about {item} in sample {sample} {when} </think> {item}"},
        **columns,
    }


def by_time(rows):
    """Names of the items of a task, those that took people least time first."""
    times = {row["item"]: row["human_rt_s"] for row in rows if row["task"] == TASK}
    return sorted(times, key=times.get)


def data_of(text):
    """What the page gives to the browser."""
    return json.loads(re.search(r'id="responses">(.*?)</script>', text)[1])


def stored(data):
    """{(item, arm, step, sample): thinking} of the page's data."""
    return {
        (data["items"][i]["name"], data["arms"][a]["name"], step, sample): data["texts"][thinking]
        for i, a, step, sample, _, _, _, _, thinking, _ in data["responses"]
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A base and an arm with a course, 21 items each, every fifth of them probed."""
    folder = tmp_path_factory.mktemp("runs")
    out = []
    for arm, training in (("base", None), ("grpo", trained("grpo"))):
        rows = cost_rows(arm, 0.5, num_items=21, tasks=(TASK,))
        items = by_time(rows)
        run = write_run(
            folder / arm,
            rows,
            training=training,
            start="base weights" if training else None,
            generations=[response(item, sample) for item in items for sample in (-1, 0, 1)],
            items=[
                {"task": TASK, "item": item, "question": f"What is {item}?", "answer": item}
                for item in items
            ],
        )
        if training:
            probed = [
                response(item, sample, step, correct=step > 0)
                for step in STEPS
                for item in items[::5]
                for sample in (0, 1)
            ]
            append_jsonl(run / "probe.jsonl", probed)
        out.append(run)
    return out


@pytest.fixture(scope="module")
def items():
    return by_time(cost_rows("base", 0.5, num_items=21, tasks=(TASK,)))


@pytest.fixture(scope="module")
def page_path(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    page_of(runs, folder)
    return folder / "out" / "report.html"


def test_response_0_and_the_one_at_temperature_0_are_stored_at_the_end_and_0_at_every_step(
    page_path, items
):
    found = stored(data_of(page_path.read_text(encoding="utf-8")))
    ends = {(i, arm, None, s) for i in items for arm in ("base", "grpo") for s in (-1, 0)}
    along = {(item, "grpo", step, 0) for item in items[::5] for step in STEPS}
    assert set(found) == ends | along
    assert found[items[5], "grpo", 10, 0] == f"thought about {items[5]} in sample 0 at step 10"


def test_readers_without_scripts_get_the_items_of_median_and_longest_time(page_path, items):
    page = Page(page_path.read_text(encoding="utf-8")).text
    static = page[page.index("Choosing needs JavaScript") : page.index('{"arms"')]
    shown = re.findall(r"thought about (\S+) in sample (-?\d)", static)
    assert shown == [(items[10], "0")] * 2 + [(items[-1], "0")] * 2
    assert "complete, right, 5 reasoning tokens" in static


def test_more_than_there_is_room_for_is_cut_to_the_same_items_of_all_arms(runs, items, monkeypatch):
    study = read_study(runs)
    assert "all 104 of them, on 21 items" in read_traces(study).rule
    monkeypatch.setattr(traces, "MOST_RESPONSES", 30)
    cut = read_traces(study)
    assert [shown.item for shown in cut.shown] == [items[0], items[5], items[10], items[20]]
    for shown in cut.shown:
        assert {arm.name for arm, _ in shown.responses} == {"base", "grpo"}
    assert "28 of 104, on 4 of 21 items" in cut.rule


def test_what_responses_say_does_not_decide_which_are_stored(tmp_path, items, monkeypatch):
    monkeypatch.setattr(traces, "MOST_RESPONSES", 6)
    chosen = []
    for name, correct in (("right", True), ("wrong", False)):
        rows = cost_rows("one", 0.5, num_items=21, tasks=(TASK,))
        lines = [response(item, correct=correct, text=name) for item in items]
        run = write_run(tmp_path / name, rows, generations=lines)
        chosen.append([shown.item for shown in read_traces(read_study([run])).shown])
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 6


def test_of_many_steps_the_first_the_last_and_evenly_spaced_ones_are_stored(tmp_path, items):
    rows = cost_rows("grpo", 0.5, num_items=21, tasks=(TASK,))
    run = write_run(tmp_path / "grpo", rows)
    append_jsonl(
        run / "probe.jsonl", [response(items[0], step=step) for step in range(0, 1900, 100)]
    )
    (shown,) = read_traces(read_study([run])).shown
    assert [r.place.step for _, r in shown.responses] == list(range(0, 1900, 200))


@pytest.mark.parametrize("num_items", [0, 1, 2, 3, 4, 21, 100])
def test_items_are_taken_from_the_ends_and_the_middle_inwards(num_items):
    order = spread_order(num_items)
    assert sorted(order) == list(range(num_items))
    if num_items > 4:
        assert order[:3] == [num_items - 1, (num_items - 1) // 2, 0]
    taken = sorted(order[:17])
    if num_items == 100:
        gaps = [b - a for a, b in zip(taken[:-1], taken[1:], strict=True)]
        assert max(gaps) - min(gaps) <= 1


def test_a_sweep_over_checkpoints_is_shown_where_there_was_no_probe(tmp_path, items):
    run = write_run(tmp_path / "grpo", cost_rows("grpo", 0.5, num_items=21, tasks=(TASK,)))
    for step in (20, 40):
        append_jsonl(
            run / "sweep" / f"step-{step}" / "generations.jsonl", [response(items[3], text="a")]
        )
    (shown,) = read_traces(read_study([run])).shown
    assert sorted(r.place.step for _, r in shown.responses) == [20, 40]


@pytest.mark.parametrize(
    ("text", "tokens", "thinking", "answer"),
    [
        ("<think> a </think> b", 1, "a", "b"),
        ("a </think> b", 1, "a", "b"),
        ("<think> a", 1, "a", ""),
        ("b", 0, "", "b"),
        ("<think></think> b", 0, "", "b"),
    ],
)
def test_the_thinking_span_is_cut_at_the_tags(text, tokens, thinking, answer):
    assert parts_of(text, FORMATS["tiny"], tokens) == (thinking, answer)


def test_long_traces_are_cut_and_say_so(tmp_path, items):
    rows = cost_rows("one", 0.5, num_items=21, tasks=(TASK,), greedy=False)
    long = response(items[-1], text="x" * 5000 + "</think> y")
    text = page_of([write_run(tmp_path / "one", rows, generations=[long])], tmp_path)
    assert "3,300 characters left out" in text
    assert "x" * 1300 not in text
    assert "the first 1,200 and the last 500 are kept" in text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"torn', "line 2: not valid JSON"),
        ("[1]", "line 2: expected a JSON object"),
        ("[" * 100_000, "line 2: not valid JSON"),
        (json.dumps(response("item-000"))[:-20], "line 2: not valid JSON"),
        ('{"task": "alpha", "item": "item-000", "sample": ' + "1" * 5000 + "}", "line 2: not val"),
    ],
)
def test_a_broken_line_of_generations_is_named(tmp_path, line, message):
    run = write_run(tmp_path / "run", cost_rows("run", 0.5, num_items=5, tasks=(TASK,)))
    (run / "generations.jsonl").write_text(f'{{"task": "alpha"}}\n{line}\n')
    with pytest.raises(UserError, match=rf"generations.jsonl, {message}"):
        read_traces(read_study([run]))


def test_lines_of_another_layout_are_read_as_well(tmp_path, items):
    line = response(items[0], text='say "task": "beta", "item": "b", "sample": 7, </think> yes')
    turned = json.dumps(dict(reversed(line.items())), separators=(",", ":"))
    run = write_run(tmp_path / "run", cost_rows("run", 0.5, num_items=21, tasks=(TASK,)))
    (run / "generations.jsonl").write_bytes(
        turned.encode() + b"\n" + json.dumps(response(items[1])).encode() + b"\xff\n"
        if False
        else turned.encode() + b"\n\n"
    )
    (shown,) = read_traces(read_study([run])).shown
    assert shown.item == items[0]
    assert shown.responses[0][1].answer == "yes"
