"""Text of models, and names of others, that try to be more than text: in every output of the
commands they are shown, and do nothing."""

import csv
import io
import itertools
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import yaml
from hostile import MORE_IN_TEXT, PAYLOADS, UNPRINTABLE
from markdown_it import MarkdownIt
from playwright.sync_api import expect
from report_runs import SUITE, cost_rows, trained, write_run
from test_report import probes

from handan.alignment.costs import read_costs
from handan.files import read_json
from handan.formatting import FORMULA_MARKS, plain

FORMULAS = [text for name, text in PAYLOADS.items() if name.startswith("formula")]
OTHERS = [text for name, text in PAYLOADS.items() if not name.startswith("formula")]
# Every arm and task begins with a formula; the names of arms together hold every payload.
ARMS = [f"{formula} {' '.join(OTHERS[place::2])}" for place, formula in enumerate(FORMULAS[:2])]
TASKS = [FORMULAS[2] + PAYLOADS["script"] + PAYLOADS["latex"], FORMULAS[3]]
ITEMS = list(PAYLOADS.values())
TEXTS = {**PAYLOADS, **MORE_IN_TEXT}


def hostile_rows(arm, r):
    """Rows of costs.csv with names that are payloads."""
    names = dict(zip(("alpha", "beta"), TASKS, strict=True))
    rows = cost_rows("arm", r, num_items=len(ITEMS), greedy=False)
    return [
        row
        | {"model": arm, "task": names[row["task"]]}
        | {"item": ITEMS[int(row["item"].removeprefix("item-"))]}
        for row in rows
    ]


def generations():
    """Response 0 to every item; those to the second task hold what only JSON can."""
    texts = list(TEXTS.values())
    for task, item in itertools.product(TASKS, range(len(ITEMS))):
        text = texts[item] if task == TASKS[0] else texts[-1 - item]
        yield {
            "task": task,
            "item": ITEMS[item],
            "sample": 0,
            "text": f"<think>{text}</think>{text}",
            "status": text[:200],
            "correct": True,
            "reasoning_tokens": 12,
        }


def items():
    for task, (name, text) in itertools.product(TASKS, PAYLOADS.items()):
        more = MORE_IN_TEXT["lone surrogate"] if name == "script" else ""
        yield {"task": task, "item": text, "question": text + more, "answer": text}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A base and an arm trained from it."""
    folder = tmp_path_factory.mktemp("hostile")
    made = []
    for place, arm in enumerate(ARMS):
        training = trained("grpo") | {"command": arm, "recipe": arm, "finished": True}
        training |= {"python": arm, "versions": {}, "git": {}, "hardware": {"system": arm}}
        run = write_run(
            folder / f"run-{place}",
            (rows := hostile_rows(arm, 0.5)),
            arm=arm,
            training=training if place else None,
            start=f"{ARMS[0]} weights" if place else None,
            suite=SUITE | {"tasks": [{"task": task, "format": arm} for task in TASKS]},
            metrics=probes() if place else (),
            generations=list(generations()),
            items=list(items()),
        )
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        (run / "costs.csv").write_text(buffer.getvalue(), encoding="utf-8", newline="")
        made.append(run)
    return made


def handan(*words):
    """What a command says; nothing of it may move a cursor, hide or reorder."""
    done = subprocess.run([sys.executable, "-m", "handan", *map(str, words)], capture_output=True)
    said, complained = (text.decode("utf-8") for text in (done.stdout, done.stderr))
    assert done.returncode == 0, complained[-3000:]
    assert not re.search(UNPRINTABLE, said)
    assert not re.search(UNPRINTABLE, complained)
    return said


@pytest.fixture(scope="module")
def written(runs, tmp_path_factory):
    """The folder of page, Markdown, spec and tables, and what was said on the way."""
    folder = tmp_path_factory.mktemp("written")
    wandb = ("--wandb", "a/b", "--offline", folder / "spec.json")
    said = handan("report", *runs, "--output", folder / "report.html", *wandb)
    said += handan("report", *runs, "--output", folder / "report.md")
    said += handan("compare", *runs, "--tables", folder / "tables", "--output", folder / "c.json")
    return folder, said


# -- terminal ------------------------------------------------------------------------------------


def test_a_terminal_gets_every_name_and_no_control_character(written):
    _, said = written
    together = " ".join(said.split())
    for arm in ARMS:
        assert " ".join(plain(arm).split()) in together


def test_a_single_table_of_costs_is_told_without_control_characters(runs, tmp_path):
    said = handan("align", runs[1] / "costs.csv", "--output", tmp_path / "a.json")
    assert plain(ARMS[1]) in said


# -- HTML ----------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self._inside = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text.append(data)

    def handle_endtag(self, tag):
        self._inside = ""


def nothing_but_text(page, images=()):
    """Elements of a page that payloads could have made: none."""
    assert not {"iframe", "object", "embed", "base", "form", "textarea"} & {
        tag for tag, _ in page.elements
    }
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        for name in ("href", "xlink:href", "src", "action", "srcset", "data"):
            target = attributes.get(name) or "#"
            own = ("#", "data:,", "data:image/png;base64,", *images)
            assert target.startswith(own), (tag, attributes)


def test_the_page_has_no_element_of_a_payload(written):
    folder, _ = written
    source = (folder / "report.html").read_text(encoding="utf-8")
    # The libraries of the page hold such characters in their own strings.
    own = re.sub(r"<script>.*?</script>", "", source, flags=re.S)
    assert not re.search(UNPRINTABLE, own)
    page = Elements(source)
    nothing_but_text(page)
    assert not {"img"} & {tag for tag, _ in page.elements}
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    kinds = {attributes.get("type", "program") for attributes in scripts}
    assert kinds <= {"program", "application/json"}
    text = " ".join("".join(page.text).split())
    for arm in ARMS:
        assert " ".join(plain(arm).split()) in text


def test_a_browser_runs_nothing_and_asks_for_nothing(browser, written):
    folder, _ = written
    page, heard = browser.new_page(), []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: heard.append(request.url))
    page.goto((folder / "report.html").as_uri())
    assert heard.pop(0) == (folder / "report.html").as_uri()
    expect(page.locator(".chart:not(:has(svg, canvas))").filter(visible=True)).to_have_count(0)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    shown = set()
    for task in range(len(TASKS)):
        page.locator("#browser-task").select_option(index=task)
        for item in range(len(ITEMS)):
            page.locator("#browser-item").select_option(index=item)
            shown.add(page.locator("#browser-cards").inner_text())
    shown = " ".join(" ".join(shown).split())
    for name, text in TEXTS.items():
        if name != "long line":
            assert " ".join(plain(text).split()) in shown, name
    for chart in page.locator(".chart").filter(visible=True).all()[:6]:
        chart.hover()
    made = page.evaluate(
        """() => [...document.querySelectorAll("*")].filter(element =>
            ["IMG", "IFRAME", "OBJECT", "EMBED", "BASE"].includes(element.tagName) ||
            element.getAttributeNames().some(name => name.startsWith("on")) ||
            /^\\s*(javascript|https?):/i.test(element.getAttribute("href") ?? "")
        ).map(element => element.outerHTML.slice(0, 200))"""
    )
    page.close()
    assert made == []
    assert heard == []


# -- Markdown ------------------------------------------------------------------------------------


def rendered(text):
    """Markdown as HTML, with everything that GitHub reads and HTML let through."""
    return Elements(MarkdownIt("commonmark", {"html": True}).enable(["table"]).render(text))


def test_markdown_shows_payloads_as_text(written):
    folder, _ = written
    source = (folder / "report.md").read_text(encoding="utf-8")
    assert not re.search(UNPRINTABLE, source)
    page = rendered(source)
    nothing_but_text(page, images=("report_figures/",))
    assert "script" not in {tag for tag, _ in page.elements}
    text = " ".join("".join(page.text).split())
    for arm in ARMS:
        assert " ".join(plain(arm).split()) in text


@pytest.mark.parametrize("suffix", ["md"])
def test_tables_in_markdown_keep_their_columns(written, suffix):
    folder, _ = written
    for path in (folder / "tables").glob(f"*.{suffix}"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(UNPRINTABLE, source)
        page = rendered(source)
        nothing_but_text(page)
        assert {tag for tag, _ in page.elements} <= {
            *("table", "thead", "tbody", "tr", "th", "td", "p", "span"),
        }


# -- CSV -----------------------------------------------------------------------------------------


def is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_tables_as_csv_hold_no_formula_and_no_control_character(written):
    folder, _ = written
    paths = list((folder / "tables").glob("*.csv"))
    assert len(paths) >= 3
    names = set()
    for path in paths:
        source = path.read_text(encoding="utf-8")
        assert not re.search(UNPRINTABLE, source)
        header, *rows = csv.reader(io.StringIO(source, newline=""), strict=True)
        assert {len(row) for row in rows} == {len(header)}
        for cell in itertools.chain.from_iterable(rows):
            assert is_number(cell) or not cell.startswith(FORMULA_MARKS)
            names.add(cell)
    assert {f"'{plain(name)}" for name in (*ARMS, *TASKS)} <= names


def test_costs_are_read_back_as_they_are(runs):
    """costs.csv is data, joined by its names, so it is quoted and never changed."""
    table = read_costs(runs[0] / "costs.csv").table
    assert set(table.text["model"]) == {ARMS[0]}
    assert set(table.text["task"]) == set(TASKS)
    assert set(table.text["item"]) == set(ITEMS)


# -- LaTeX ---------------------------------------------------------------------------------------

# What tabulate writes for characters that mean something to TeX.
ESCAPED = re.compile(
    r"\\[&%$#_{}]|\\\^\{\}|\\textasciitilde\{\}|\\textbackslash\{\}|\\ensuremath\{[<>]\}"
)


def test_tables_as_latex_hold_no_command_of_a_payload(written):
    folder, _ = written
    paths = list((folder / "tables").glob("*.tex"))
    assert len(paths) >= 3
    for path in paths:
        source = path.read_text(encoding="utf-8")
        assert not re.search(UNPRINTABLE, source)
        title, body = source.split("\n", 1)
        assert title.startswith("% ")
        begin, *lines, end = body.strip().splitlines()
        assert begin.startswith("\\begin{tabular}") and end == "\\end{tabular}"
        columns = len(re.search(r"\{([lrc]+)\}", begin)[1])
        for line in lines:
            if line in ("\\toprule", "\\midrule", "\\bottomrule"):
                continue
            rest = ESCAPED.sub("", line)
            assert rest.endswith("\\\\")
            cells = rest.removesuffix("\\\\")
            assert cells.count("&") == columns - 1
            assert not re.search(r"[\\${}#%_^~]", cells), cells


# -- W&B and cards -------------------------------------------------------------------------------


def test_the_spec_of_a_wandb_report_links_nowhere(written):
    folder, _ = written
    spec = read_json(folder / "spec.json")
    texts = list(strings(spec))
    assert any("HYPERLINK" in text for _, text in texts)
    for key, text in texts:
        # Runs are found by what they are called, to the letter.
        if key != "value":
            assert not re.search(UNPRINTABLE, text)
        if key in ("url", "href", "src"):
            assert "evil.example" not in text and "javascript" not in text
        if key == "content":
            nothing_but_text(rendered(text))


def strings(value, key=""):
    """All strings of a spec with the keys they stand under; some hold JSON themselves."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from strings(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part, key)
    elif isinstance(value, str):
        try:
            inside = json.loads(value) if value.startswith(("{", "[")) else None
        except json.JSONDecodeError:
            inside = None
        if inside is None:
            yield key, value
        else:
            yield from strings(inside, key)


def test_the_card_of_a_model_shows_payloads_as_text(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs[1], run)
    handan("align", run / "costs.csv", "--output", run / "alignment.json")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["training"] |= {"model_name_or_path": PAYLOADS["script"], "note": PAYLOADS["comment"]}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    made = read_json(run / "run.json")
    made["comparability"] |= {"suite_version": PAYLOADS["markdown image"]}
    (run / "run.json").write_text(json.dumps(made))
    (run / "model.safetensors").write_text("")
    handan("publish", run)
    card = (run / "README.md").read_text(encoding="utf-8")
    assert not re.search(UNPRINTABLE, card)
    body = card.split("---\n", 2)[2]
    page = rendered(body)
    nothing_but_text(page)
    assert "script" not in {tag for tag, _ in page.elements}
    assert PAYLOADS["script"] in "".join(page.text)
