"""The page that lists every refusal is made from the source as it is now."""

import importlib.util
import sys

import pytest
from embedded import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def maker():
    """docs/list_errors.py as a module."""
    sys.path.insert(0, str(DOCS))
    try:
        spec = importlib.util.spec_from_file_location("list_errors", DOCS / "list_errors.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


def test_the_page_is_current(maker):
    written = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert written == maker.page(), "run python docs/list_errors.py"


def test_sentences_that_are_put_together_elsewhere_are_written_out(maker):
    found = {row.sentence for row in maker.refusals()}
    for sentence in (
        # returned by a function of another module, yielded, handed over, chosen by a condition
        "*place*, line *number*: the reasoning is opened twice; take one '*open*' off the trace",
        "*path*: arms.*name*: '*traces*' is not under traces",
        "*place*: unknown key '*key*'; remove it",
        "*error*; name the model's 'tokenizer' in the YAML of the engine",
    ):
        assert sentence in found
    assert len(found) > 300


def test_every_exit_code_is_explained(maker):
    for code in (0, 1, 2, 75, 130, 141):
        assert f"\n| {code} |" in maker.HEAD
