"""The trace browser: which responses the page stores, and what a reader can do with them."""

import json
import re
from itertools import pairwise

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from report_runs import cost_rows, trained, write_run
from test_report import HOSTILE, Page, page_of

from handan.errors import UserError
from handan.files import append_jsonl
from handan.generation.formats import FORMATS
from handan.report import trace_browser
from handan.report.comparison import read_comparison
from handan.report.trace_browser import parts_of, read_traces, spread_order

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
    page = page_path.read_text(encoding="utf-8")
    static = Page(page.split("Choosing needs JavaScript")[1].split("</noscript>")[0]).text
    shown = re.findall(r"thought about (\S+) in sample (-?\d)", static)
    assert shown == [(items[10], "0")] * 2 + [(items[-1], "0")] * 2
    assert "complete, right, 5 reasoning tokens" in static


def test_more_than_there_is_room_for_is_cut_to_the_same_items_of_all_arms(runs, items, monkeypatch):
    study = read_comparison(runs)
    assert "all 104 of them, on 21 items" in read_traces(study).rule
    monkeypatch.setattr(trace_browser, "MAX_RESPONSES", 33)
    cut = read_traces(study)
    assert [shown.item for shown in cut.shown] == [items[0], items[5], items[10], items[20]]
    for shown in cut.shown:
        assert {arm.name for arm, _ in shown.responses} == {"base", "grpo"}
    assert "32 of 104, on 4 of 21 items" in cut.rule


def test_what_responses_say_does_not_decide_which_are_stored(tmp_path, items, monkeypatch):
    monkeypatch.setattr(trace_browser, "MAX_RESPONSES", 6)
    chosen = []
    for name, correct in (("right", True), ("wrong", False)):
        rows = cost_rows("one", 0.5, num_items=21, tasks=(TASK,))
        lines = [response(item, correct=correct, text=name) for item in items]
        run = write_run(tmp_path / name, rows, generations=lines)
        chosen.append([shown.item for shown in read_traces(read_comparison([run])).shown])
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 6


def test_both_suites_along_training_are_read(tmp_path, items):
    run = write_run(tmp_path / "grpo", cost_rows("grpo", 0.5, num_items=21, tasks=(TASK,)))
    append_jsonl(run / "probe.jsonl", [response(items[0], step=step) for step in (0, 10, 20)])
    append_jsonl(run / "full.jsonl", [response(items[1], step=20)])
    first, second = read_traces(read_comparison([run])).shown
    assert [r.place.step for _, r in first.responses] == [0, 10, 20]
    assert [r.place.step for _, r in second.responses] == [20]


def test_of_many_steps_the_first_the_last_and_evenly_spaced_ones_are_stored(tmp_path, items):
    rows = cost_rows("grpo", 0.5, num_items=21, tasks=(TASK,))
    run = write_run(tmp_path / "grpo", rows)
    append_jsonl(
        run / "probe.jsonl", [response(items[0], step=step) for step in range(0, 1900, 100)]
    )
    (shown,) = read_traces(read_comparison([run])).shown
    assert [r.place.step for _, r in shown.responses] == list(range(0, 1900, 200))


@pytest.mark.parametrize("num_items", [0, 1, 2, 3, 4, 21, 100])
def test_items_are_taken_from_the_ends_and_the_middle_inwards(num_items):
    order = spread_order(num_items)
    assert sorted(order) == list(range(num_items))
    if num_items > 4:
        assert order[:3] == [num_items - 1, (num_items - 1) // 2, 0]
    taken = sorted(order[:17])
    if num_items == 100:
        gaps = [b - a for a, b in pairwise(taken)]
        assert max(gaps) - min(gaps) <= 1


def test_a_sweep_over_checkpoints_is_shown_where_there_was_no_probe(tmp_path, items):
    run = write_run(tmp_path / "grpo", cost_rows("grpo", 0.5, num_items=21, tasks=(TASK,)))
    for step in (20, 40):
        append_jsonl(
            run / "sweep" / f"step-{step}" / "generations.jsonl", [response(items[3], text="a")]
        )
    (shown,) = read_traces(read_comparison([run])).shown
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
        ("[" * 100_000, "line 2: JSON of absurd size"),
        (json.dumps(response("item-000"))[:-20], "line 2: not valid JSON"),
        ('{"task": "alpha", "item": "item-000", "sample": ' + "1" * 5000 + "}", "line 2: JSON of"),
    ],
)
def test_a_broken_line_of_generations_is_named(tmp_path, line, message):
    run = write_run(tmp_path / "run", cost_rows("run", 0.5, num_items=5, tasks=(TASK,)))
    (run / "generations.jsonl").write_text(f'{{"task": "alpha"}}\n{line}\n')
    with pytest.raises(UserError, match=rf"generations.jsonl, {message}"):
        read_traces(read_comparison([run]))


def test_lines_of_another_layout_are_read_as_well(tmp_path, items):
    line = response(items[0], text='say "task": "beta", "item": "b", "sample": 7, </think> yes')
    turned = json.dumps(dict(reversed(line.items())), separators=(",", ":"))
    run = write_run(tmp_path / "run", cost_rows("run", 0.5, num_items=21, tasks=(TASK,)))
    (run / "generations.jsonl").write_text(turned + "\n\n")
    (shown,) = read_traces(read_comparison([run])).shown
    assert shown.item == items[0]
    assert shown.responses[0][1].answer == "yes"


# In a browser


@pytest.fixture
def opened(browser):
    """Opens a page; in the end it must not have said anything, asked for anything, or run
    anything that is not its own."""
    said, pages = [], []

    def open_page(path, fragment=""):
        page = browser.new_page()
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on(
            "request", lambda request: request.is_navigation_request() or said.append(request.url)
        )
        page.goto(path.as_uri() + fragment)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert said == []


def cards(page):
    """{arm: text} of the cards a reader sees."""
    shown = page.locator("#browser-cards .card:visible").all()
    return {card.get_attribute("data-arm"): card.inner_text() for card in shown}


def move_to(page, moment):
    """Move the slider to a place."""
    page.locator("#browser-step").fill(str(moment))


def dispatch(page, name, **detail):
    page.evaluate(
        "([name, detail]) => document.dispatchEvent(new CustomEvent(name, {detail}))",
        [name, detail],
    )


def test_a_reader_chooses_the_item_the_step_and_the_response(opened, page_path, items):
    page = opened(page_path)
    assert page.locator("#browser-title").inner_text() == f"Alpha, item {items[10]}"
    assert f"What is {items[10]}?" in page.locator("#browser-question").inner_text()
    at_the_end = cards(page)
    assert set(at_the_end) == {"base", "grpo"}
    for part in ("Final evaluation, response 0", "✓ right, complete", "5 reasoning tokens"):
        assert part in at_the_end["grpo"]
    assert f"thinking\nthought about {items[10]} in sample 0 at the end" in at_the_end["grpo"]

    page.get_by_label("Item", exact=True).select_option(index=15)
    assert f"thought about {items[15]} in sample 0 at the end" in cards(page)["base"]
    assert "number 16 of 21 items" in page.locator("#browser-note").inner_text()
    page.get_by_label("Response", exact=True).select_option("at T = 0")
    assert f"thought about {items[15]} in sample -1 at the end" in cards(page)["base"]

    move_to(page, 0)
    assert page.get_by_label("When").get_attribute("aria-valuetext") == "step 0"
    assert page.get_by_label("Response", exact=True).is_disabled()
    along = cards(page)
    assert f"thought about {items[15]} in sample 0 at step 0" in along["grpo"]
    assert "✗ wrong" in along["grpo"]
    # What was not trained is shown as it is.
    assert "Final evaluation" in along["base"]


def test_an_item_that_was_not_asked_along_training_has_no_steps(opened, page_path, items):
    page = opened(page_path)
    move_to(page, 0)
    page.get_by_role("button", name="Next item").click()
    assert page.locator("#browser-title").inner_text() == f"Alpha, item {items[11]}"
    assert page.get_by_label("When").is_disabled()
    assert "not asked along training" in page.locator("#browser-moment").inner_text()
    assert f"thought about {items[11]} in sample 0 at the end" in cards(page)["grpo"]


def test_an_arm_with_fewer_steps_shows_its_latest_until_then(opened, tmp_path, items):
    runs = []
    for arm, steps in (("short", (0, 10)), ("long", (0, 10, 40))):
        run = write_run(tmp_path / arm, cost_rows(arm, 0.5, num_items=21, tasks=(TASK,)))
        append_jsonl(run / "probe.jsonl", [response(items[0], step=step) for step in steps])
        runs.append(run)
    page_of(runs, tmp_path)
    page = opened(tmp_path / "out" / "report.html")
    assert cards(page) == {}
    assert "No such response of" in page.locator("#browser-note").inner_text()
    move_to(page, 2)
    assert "Step 10, response 0, the latest until then" in cards(page)["short"]
    assert "Step 40, response 0\n" in cards(page)["long"]


def test_bars_are_as_long_as_thinking_and_the_tick_is_at_the_arms_share(opened, tmp_path):
    runs = []
    for arm, tokens in (("brief", 10), ("wordy", 30)):
        rows = cost_rows(arm, 0.5, num_items=20, tasks=(TASK,), greedy=False)
        for row in rows:
            row |= {"reasoning_tokens": 20, "human_rt_s": 1.0 + (row["item"] == "item-000")}
        lines = [response("item-000", reasoning_tokens=tokens)]
        runs.append(write_run(tmp_path / arm, rows, generations=lines))
    page_of(runs, tmp_path)
    page = opened(tmp_path / "out" / "report.html")
    boxes = {
        (arm, part): page.locator(f".card[data-arm={arm}] .{part}").bounding_box()
        for arm in ("brief", "wordy")
        for part in ("effort", "fill", "tick")
    }
    # The item asks 2 s, all of them 1.05 s on average: 20 tokens would become 38.
    ground = boxes["brief", "effort"]["width"]
    assert boxes["brief", "fill"]["width"] / ground == pytest.approx(10 / 38.1, abs=0.02)
    assert boxes["wordy", "fill"]["width"] / ground == pytest.approx(30 / 38.1, abs=0.02)
    assert boxes["wordy", "fill"]["height"] > 5
    tick, start = boxes["wordy", "tick"], boxes["wordy", "effort"]["x"]
    assert tick["x"] - start == pytest.approx(ground, abs=4)
    described = page.locator(".card[data-arm=wordy] .effort").get_attribute("aria-label")
    assert described == "30 reasoning tokens; in proportion it would be 38"


def test_arrow_keys_go_from_item_to_item_and_end_at_the_last(opened, page_path, items):
    page = opened(page_path)
    page.get_by_role("button", name="Next item").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.locator("#browser-title").inner_text() == f"Alpha, item {items[13]}"
    assert items[13] in page.get_by_role("status").filter(has_text="People take").inner_text()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#browser-title").inner_text() == f"Alpha, item {items[12]}"
    page.get_by_label("Item", exact=True).select_option(index=20)
    last = page.get_by_role("button", name="Next item")
    assert last.get_attribute("aria-disabled") == "true"
    last.click(force=True)
    assert page.locator("#browser-title").inner_text() == f"Alpha, item {items[20]}"
    # In the list itself the keys are the list's own.
    page.get_by_label("Item", exact=True).focus()
    page.keyboard.press("ArrowUp")
    assert page.locator("#browser-title").inner_text() == f"Alpha, item {items[19]}"


def test_a_point_of_a_chart_opens_its_item(opened, page_path, items):
    page = opened(page_path)
    dispatch(page, "handan:item", task=TASK, item=items[5], arm="grpo", step=10)
    assert f"thought about {items[5]} in sample 0 at step 10" in cards(page)["grpo"]
    assert page.evaluate("document.activeElement.id") == "browser-title"
    assert page.locator(".card[aria-current]").get_attribute("data-arm") == "grpo"
    expect(page.locator("#browser-title")).to_be_in_viewport()
    dispatch(page, "handan:item", task=TASK, item=items[6], arm="base", step=None)
    assert f"thought about {items[6]} in sample 0 at the end" in cards(page)["base"]
    dispatch(page, "handan:item", task=TASK, item="nowhere", arm="base", step=None)
    assert "No response to item nowhere" in page.locator("#browser-title").inner_text()
    assert cards(page) == {}


def test_the_filter_of_the_page_hides_arms(opened, page_path):
    page = opened(page_path)
    dispatch(page, "handan:filter", tasks=[TASK], arms=["grpo"])
    assert set(cards(page)) == {"grpo"}
    dispatch(page, "handan:filter", tasks=[TASK], arms=[])
    assert cards(page) == {}
    assert "All arms are filtered out" in page.locator("#browser-note").inner_text()


def test_other_parts_of_the_page_can_ask_for_a_response(opened, page_path, items):
    page = opened(page_path)
    find = "wanted => window.handanTraces.find(wanted)"
    wanted = {"task": TASK, "item": items[5], "arm": "grpo", "step": 0}
    assert page.evaluate(find, wanted) == {
        "thinking": f"thought about {items[5]} in sample 0 at step 0",
        "answer": items[5],
        "status": "complete",
        "grade": "wrong",
        "tokens": 5,
    }
    end = page.evaluate(find, wanted | {"step": None})
    assert end["thinking"].endswith("at the end")
    assert page.evaluate(find, wanted | {"item": items[6]}) is None
    assert page.evaluate(find, wanted | {"arm": "__proto__"}) is None


def test_the_address_leads_back_to_the_item_and_the_step(opened, page_path, items):
    page = opened(page_path)
    page.get_by_label("Item", exact=True).select_option(index=5)
    move_to(page, 1)
    address = page.evaluate("location.hash")
    again = opened(page_path, address)
    assert f"thought about {items[5]} in sample 0 at step 10" in cards(again)["grpo"]
    again.locator("#filter summary").click()
    again.locator("#filter").get_by_role("checkbox", name="base").uncheck()
    assert set(cards(again)) == {"grpo"}
    filtered = opened(page_path, again.evaluate("location.hash"))
    assert f"thought about {items[5]} in sample 0 at step 10" in cards(filtered)["grpo"]
    assert set(cards(filtered)) == {"grpo"}
    assert opened(page_path, "#traces&item=alpha/nowhere&step=x").locator(".card:visible").count()


def test_hostile_texts_are_shown_as_text(opened, tmp_path, items):
    rows = cost_rows("evil", 0.5, num_items=21, tasks=(TASK,), greedy=False)
    hostile = f"{HOSTILE} <!--<script> \x00 \ud800 \u2066 ]]> &lt; " + "long" * 300
    line = response(items[-1], text=f"{hostile}</think>{hostile}", status=HOSTILE)
    question = {"task": TASK, "item": items[-1], "question": HOSTILE, "answer": HOSTILE}
    run = write_run(tmp_path / "evil", rows, generations=[line], items=[question])
    page_of([run], tmp_path)
    page = opened(tmp_path / "out" / "report.html")
    said = cards(page)["evil"]
    question = page.locator("#browser-question").inner_text()
    for text in (said, question):
        assert "</style><script>alert(1)</script><img src=x onerror=alert(2)> $x^2$" in text
        assert "?[31m?right to left? [link](javascript:alert(3))" in text
    assert "<!--<script> ? ? ? ]]> &lt; longlong" in said
    assert page.locator("#traces img, #traces a[href^=javascript], #browser script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_the_browser_is_accessible_and_fits(browser, page_path, scheme, width):
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto(page_path.as_uri())
    move_to(page, 0)
    found = Axe().run(page, context="#traces").response["violations"]
    assert [violation["id"] for violation in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
