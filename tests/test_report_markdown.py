"""The report as Markdown: the page's content, its figures beside it, and text that stays text."""

import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from report_runs import CONDITIONS, cost_rows, experiment, trained, write_run
from test_report import HOSTILE, probes

from handan import formatting
from handan.cli import command
from handan.errors import UserError
from handan.report.page import write

RENDERER = MarkdownIt("gfm-like", {"html": True, "linkify": False})
# Elements that the report's own Markdown makes; 'span' stands around single characters.
OWN = {
    *("h1", "h2", "h3", "h4", "h5", "p", "ul", "li", "strong", "em", "img", "pre", "code"),
    *("table", "thead", "tbody", "tr", "th", "td", "details", "summary"),
}
HOSTILE_TEXTS = [
    *("<script>alert(1)</script>", "<img src=x onerror=alert(2)>", "</details>", "<!-- gone -->"),
    *("[link](javascript:alert(3))", "![image](https://evil.example/x)", "[name]: https://a.b"),
    *("<https://evil.example>", "https://evil.example/x", "www.evil.example", "a@evil.example"),
    *("a|b", "\\|", "\\\\|", "`code`", "```", "``", "*em*", "_em_", "__init__", "~~gone~~"),
    *("# title", "- item", "+ item", "1. item", "1) item", "> quote", "---", "===", "***"),
    *("$x^2$", "$$y$$", "$`z`$", "@someone", "owner/name#12", ":tada:", "[^1]", "    indented"),
    *("&lt;b&gt;", "&amp;", "&#60;b>", "\\", "ends\\", "two\nlines\n\n# title", "{{ 7 * 7 }}"),
    *("\x1b[31mred", "\u202eright to left", "\u2066isolated", "a\N{NO-BREAK SPACE}b", HOSTILE),
]
PLACES = {
    "{}\n": {"p"},
    "- {}\n": {"ul", "li"},
    "before {} after\n": {"p"},
    "# {}\n": {"h1"},
    "| a | b |\n|---|---|\n| {} | z |\n": set(["table", "thead", "tbody", "tr", "th", "td"]),
    "![{}](a.png)\n": {"p", "img"},
}


class Page(HTMLParser):
    """Tags, and the text with that of images."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.text += dict(attrs).get("alt", "")

    def handle_data(self, data):
        self.text += data


def shown(text):
    """The text as it should appear: one line, invisible characters as question marks."""
    line = re.sub(r"[ \t\n]+", " ", text).strip(" ")
    return re.sub("[\x1b\u202e\u202c\u2066]", "?", line)


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("place", PLACES)
def test_escaped_text_appears_as_it_is_and_makes_no_element(text, place):
    page = Page(RENDERER.render(place.format(formatting.escape(text))))
    assert {tag for tag, _ in page.tags} <= PLACES[place] | {"span"}
    appearing = re.sub(r"<span>(.)</span>", r"\1", page.text)  # as the text of an image
    assert shown(text) in appearing


@pytest.mark.parametrize("text", ["@someone", "a@b.example", "$x$", "#12", "https://a.b", ":tada:"])
def test_what_is_searched_after_markdown_is_read_is_taken_apart(text):
    parts = re.split(r"<[^>]*>", RENDERER.render(str(formatting.escape(text))))
    assert "".join(parts).strip() == text
    assert not any(re.search(r"@\w|\$\w|#\d|://|:\w+:", part) for part in parts)


def test_names_and_numbers_stay_readable():
    for text in ("sft_own", "r = .32 (n = 120), p = .001", "T = 0: 3.5 %", "-.31"):
        assert formatting.escape(text) == text


@pytest.mark.parametrize("text", ["a ``` b", "````\n# no title", "`", "<b>", "a\x1b[31m"])
def test_code_holds_any_text(text):
    for made, tags in (
        (formatting.block(text), ["pre", "code"]),
        (formatting.span(text), ["p", "code"]),
    ):
        page = Page(RENDERER.render(f"{made}\n"))
        assert [tag for tag, _ in page.tags] == tags
        wanted = text.replace("\x1b", "?")
        assert (wanted if tags[0] == "pre" else wanted.replace("\n", "?")) in page.text


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a report in Markdown."""
    folder = tmp_path_factory.mktemp("markdown")
    arms = ("base", "teacher", "sft", "grpo", "sft_own")
    once = {arm: {"greedy": False, "r": 0.1 if arm == "sft" else 0.6} for arm in arms}
    runs = experiment(folder, **once)
    write(runs, folder / "out" / "report.md")
    return folder / "out"


def test_the_report_has_every_section_of_the_page_and_its_figures(written):
    text = (written / "report.md").read_text()
    for part in (
        *("## The answer in these runs", "Negative transfer", "### What else could explain"),
        *("## Arms", "## All contrasts", "## Inflation", "## Settings and budget", "## Glossary"),
        *("### Whose budgets are matched", "## Which models find the same items hard?"),
        *("grpo.py --seed 7", "handan report", "Holm"),
    ):
        assert part in text
    paths = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)
    assert len(paths) == len(set(paths)) > 10
    for path in paths:
        assert path.startswith("report_figures/")
        assert (written / path).read_bytes().startswith(b"\x89PNG")
    assert len(list((written / "report_figures").iterdir())) == len(paths)
    assert (written / "alignment.json").exists()


def test_tables_have_as_many_cells_as_columns(written):
    page = RENDERER.parse((written / "report.md").read_text())
    rows = [token.type for token in page if token.type in ("th_open", "td_open", "tr_open")]
    assert rows.count("td_open") > 200
    # A row that was not read as one would be a paragraph with bars in it.
    assert not [token for token in page if token.type == "inline" and "| " in token.content]


def test_hostile_names_stay_text_in_the_whole_report(tmp_path):
    rows = cost_rows("evil", 0.5, num_items=12, tasks=("alpha", HOSTILE), greedy=False)
    generations = [
        {
            "task": "alpha",
            "item": row["item"],
            "sample": 0,
            "text": f"<think>{HOSTILE}\n```</think>{HOSTILE}",
            "status": HOSTILE,
            "correct": True,
            "reasoning_tokens": 12,
        }
        for row in rows
        if row["sample"] == 0 and row["task"] == "alpha"
    ]
    items = [
        {"task": "alpha", "item": row["item"], "question": HOSTILE, "answer": HOSTILE}
        for row in generations
    ]
    run = write_run(
        tmp_path / "evil",
        rows,
        arm=f"evil {HOSTILE}",
        generations=generations,
        items=items,
        training=trained("grpo") | {"command": HOSTILE, "recipe": HOSTILE},
        start=HOSTILE,
        metrics=probes(),
        conditions=CONDITIONS | {"suite": HOSTILE},
    )
    write([run], tmp_path / "out" / "report.md")
    text = (tmp_path / "out" / "report.md").read_text()
    page = Page(RENDERER.render(text))
    assert {tag for tag, _ in page.tags} <= OWN | {"span"}
    for tag, attributes in page.tags:
        assert set(attributes) <= {"src", "alt", "style", "class"}
        assert tag != "img" or re.fullmatch(r"report_figures/[a-z0-9_-]+\.png", attributes["src"])
    assert page.text.count("<script>alert(1)</script>") >= 6
    assert not {"\x1b", "\u202e"} & set(text)


def test_missing_parts_are_said_and_no_failure(tmp_path):
    rows = cost_rows("lone", 0.5, num_items=8, tasks=("alpha",), greedy=False)
    run = write_run(tmp_path / "lone", rows)
    (run / "config.yaml").unlink()
    write([run], tmp_path / "out" / "report.md")
    text = (tmp_path / "out" / "report.md").read_text()
    for part in (
        *("there is no verdict", "There are no two arms to contrast.", "No arm's base is among"),
        *("so there is no ceiling", "## Figures that are left out", "no arm recorded probes"),
    ):
        assert part in text


def test_the_command_writes_markdown_and_figures(tmp_path, capsys):
    rows = cost_rows("lone", 0.5, num_items=8, tasks=("alpha",), greedy=False)
    run = write_run(tmp_path / "lone", rows)
    output, figures = tmp_path / "out" / "report.md", tmp_path / "figures"
    command(["report", str(run), "--output", str(output), "--figures", str(figures)])
    assert output.read_text().startswith("# Do reasoning tokens go where people spend time?")
    assert (figures / "scatter-alpha.pdf").exists() and (figures / "figures.md").exists()
    assert "wrote 3 figures" in capsys.readouterr().out
    with pytest.raises(UserError, match="nothing is asked for; give --output"):
        command(["report", str(run)])
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: cannot be written"):
        command(["report", str(run), "--figures", str(tmp_path / "file")])
