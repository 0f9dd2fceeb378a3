"""The page in a real browser: it is quiet, fits a phone, filters, tells and can be used by keys."""

import json
from urllib.parse import parse_qs

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from report_runs import experiment
from test_report import probes

from handan.files import append_jsonl
from handan.report.page import write

# Tasks of 5 arms, measures along training, tasks of 3 arms with a base
NUM_CHARTS = 2 * 5 + 7 + 2 * 3


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folder of an experiment with its page."""
    folder = tmp_path_factory.mktemp("browser")
    runs = experiment(folder, sft={"r": 0.1})
    budget = [{"budget/trained_tokens": 1000 * row["step"]} for row in probes()]
    rows = [row | spent for row, spent in zip(probes(), budget, strict=True)]
    rows[-1] |= {"inflation/k": 1.2, "inflation/b": 0.9}
    append_jsonl(folder / "grpo" / "metrics.jsonl", rows)
    write(runs, folder / "report.html")
    return folder


@pytest.fixture
def opened(browser, study):
    """Opens the page, with a fragment; fails at the end if it said or asked for anything."""
    pages, heard = [], []

    def open_page(fragment="", width=1440, scheme="light", quiet=True):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        pages.append(page)
        if quiet:
            page.on("console", lambda message: heard.append(message.text))
            page.on("pageerror", lambda error: heard.append(str(error)))
            page.on("request", lambda request: heard.append(request.url))
        page.goto((study / "report.html").as_uri() + fragment)
        assert not quiet or heard.pop(0).startswith((study / "report.html").as_uri())
        return page

    yield open_page
    for page in pages:
        page.close()
    assert heard == []


def all_drawn(page):
    """Waits until every chart that is shown is drawn."""
    undrawn = page.locator(".chart:not(:has(svg))").filter(visible=True)
    expect(undrawn).to_have_count(0)


@pytest.mark.parametrize("width", [360, 1440])
def test_the_page_fits_the_window_and_draws_every_chart(opened, width):
    page = opened(width=width)
    all_drawn(page)
    # Every part is opened, so that hidden tables are measured, too.
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    expect(page.locator("details.numbers tbody tr")).to_have_count(2 * 120)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".chart svg").count() == NUM_CHARTS


@pytest.mark.parametrize(("scheme", "rules"), [("light", None), ("dark", ["color-contrast"])])
def test_nothing_on_the_page_keeps_people_out(opened, scheme, rules):
    page = opened(scheme=scheme)
    all_drawn(page)
    page.locator("#filter summary").click()
    page.locator(".find-item select").first.select_option("item-007")
    found = Axe().run(page, options={"runOnly": rules} if rules else None).response
    wrong = {entry["id"]: entry["nodes"][0]["html"][:200] for entry in found["violations"]}
    assert wrong == {}
    assert found["passes"]


def test_the_filter_hides_what_belongs_to_an_arm_or_a_task_and_can_be_shared(opened):
    page = opened()
    heard = "addEventListener('handan:filter', event => { window.told = event.detail; })"
    page.evaluate(f"document.{heard}")
    page.locator("#filter summary").click()
    page.locator("input[value=sft]").uncheck()
    page.locator("input[value=beta]").uncheck()
    expect(page.locator("#arms-shown")).to_have_text("4 of 5 arms")
    expect(page.locator("#tasks-shown")).to_have_text("1 of 2 tasks")
    assert page.evaluate("told") == {
        "tasks": ["alpha"],
        "arms": ["base", "teacher", "grpo", "sft_own"],
    }
    for hidden in ("[data-arm=sft]", "[data-task=beta]"):
        assert page.locator(hidden).count() > 5
        assert page.locator(hidden).filter(visible=True).count() == 0
    for other in ("[data-arm=grpo]", "[data-task=alpha]", "[data-arm=sft_own]"):
        assert page.locator(other).filter(visible=True).count() > 5

    fragment = page.url.partition("#")[2]
    assert parse_qs(fragment)["task"] == ["alpha"]
    shared = opened(f"#{fragment}")
    expect(shared.locator("#arms-shown")).to_have_text("4 of 5 arms")
    assert shared.locator("[data-arm=sft]").filter(visible=True).count() == 0

    page.get_by_role("button", name="Show no arms").click()
    assert page.locator("#scatter figure").filter(visible=True).count() == 0
    page.get_by_role("button", name="Show all arms").click()
    assert page.locator("#scatter figure").filter(visible=True).count() == 5
    all_drawn(page)


def test_a_curve_of_a_hidden_arm_is_not_drawn(opened):
    page = opened("#course&arm=base")
    all_drawn(page)
    charts = page.locator("#course .chart").first
    expect(charts.locator("path[aria-roledescription], .mark-symbol path")).to_have_count(0)
    page.locator("#filter summary").click()
    page.locator("input[value=grpo]").check()
    expect(charts.locator(".mark-symbol path")).to_have_count(3)


def hover_first_point(page, chart):
    all_drawn(page)  # what is drawn above a chart later moves its points away from the pointer
    chart.scroll_into_view_if_needed()
    expect(chart.locator(".mark-symbol path").first).to_be_attached()
    box = chart.locator(".mark-symbol path").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    return page.locator("#hover")


def test_pointing_at_an_item_tells_its_numbers_and_clicking_asks_for_its_trace(opened, study):
    page = opened()
    page.evaluate(
        "window.handanTraces = { find: asked => (window.asked = asked, "
        "{ thinking: '<b>first</b> thought '.repeat(20), answer: '4' }) };"
        "document.addEventListener('handan:item', event => { window.told = event.detail; })"
    )
    chart = page.locator("#scatter figure[data-arm=grpo][data-task=alpha] .chart")
    card = hover_first_point(page, chart)
    expect(card).to_be_visible()
    text = card.inner_text()
    item = page.evaluate("asked.item")
    assert page.evaluate("asked") == {"task": "alpha", "item": item, "arm": "grpo", "step": None}
    assert f"alpha, item {item}" in text
    assert "<b>first</b> thought" in text  # as text
    tokens, seconds = figures_of(study, "grpo", "alpha", item)
    assert f"{tokens:,.1f}".removesuffix(".0") + " reasoning tokens" in text
    assert f"people: {seconds:.1f}".removesuffix(".0") + " s" in text
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()

    page.mouse.down()
    page.mouse.up()
    assert page.evaluate("told") == {"task": "alpha", "item": item, "arm": "grpo", "step": None}


def figures_of(study, arm, task, item):
    """Geometric mean of the tokens of an item, with people's time, from the arm's costs.csv."""
    import csv

    import numpy as np

    with open(study / arm / "costs.csv", encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["model"], row["task"], row["item"]) == (arm, task, item)
        ]
    tokens = np.exp(np.mean(np.log([float(row["reasoning_tokens"]) for row in rows])))
    return tokens, float(rows[0]["human_rt_s"])


def test_the_horizontal_axis_of_training_can_be_changed(opened):
    page = opened("#course")
    chart = page.locator("#course .chart").first
    expect(chart.locator(".mark-symbol path")).to_have_count(3)
    expect(page.locator(".axis-label").first).to_have_text("optimizer step")
    page.get_by_label("trained tokens").check()
    expect(page.locator(".axis-label").first).to_have_text("trained tokens")
    expect(chart.get_by_text("20k", exact=True)).to_be_attached()
    assert "axis=budget" in page.url
    card = hover_first_point(page, chart)
    expect(card).to_contain_text("grpo, step 0")
    expect(card).to_contain_text("\N{MINUS SIGN}.20 [\N{MINUS SIGN}.40, .50]")


def test_everything_can_be_done_by_keys(opened):
    page = opened()
    page.evaluate(
        "document.addEventListener('handan:item', event => { window.told = event.detail; })"
    )
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the answer")).to_be_focused()
    tab_to(page, "#filter summary")
    page.keyboard.press("Enter")
    tab_to(page, "input[name=arm][value=base]")
    page.keyboard.press("Space")
    expect(page.locator("#arms-shown")).to_have_text("4 of 5 arms")
    tab_to(page, ".find-item[data-task=alpha] select")
    # Not typed: letters that come slowly begin a new word.
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    item = page.evaluate("document.activeElement.value")
    assert item.startswith("item-")
    expect(page.locator(".find-item[data-task=alpha] li").filter(visible=True)).to_have_count(4)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("told") == {
        **{"task": "alpha", "item": item, "arm": "teacher", "step": None}
    }


def tab_to(page, selector, most=60):
    """Presses Tab until the element has the focus, which must be seen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            assert page.evaluate(outline) != "none"
            return
    raise AssertionError(f"{selector} was not reached by {most} times Tab")


def test_an_injected_script_does_not_run(opened):
    page = opened(quiet=False)
    injected = "const script = document.createElement('script'); script.textContent = "
    page.evaluate(injected + "'window.ran = true'; document.body.append(script)")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=ran=true>')")
    assert page.evaluate("window.ran") is None
    assert page.evaluate("typeof vegaEmbed") == "function"


def test_without_scripts_the_page_says_what_is_missing(browser, study):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((study / "report.html").as_uri())
    expect(page.locator("noscript p")).to_contain_text("This browser runs no scripts")
    expect(page.locator("#filter")).to_be_hidden()
    expect(page.get_by_text("Negative transfer.").first).to_be_visible()
    context.close()


def test_charts_are_printed_in_light_colours(opened):
    page = opened(scheme="dark")
    all_drawn(page)
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.locator("#filter")).to_be_hidden()
    expect(page.locator("#scatter svg").first).to_be_visible()
    assert len(page.pdf()) > 10_000


def test_a_page_that_is_printed_at_once_has_all_its_charts(opened):
    page = opened()
    at_once = page.pdf()
    all_drawn(page)
    assert len(at_once) == pytest.approx(len(page.pdf()), rel=0.01)
