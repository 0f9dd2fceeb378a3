"""The page of common errors: its sentences are those of the library, its exit codes are all."""

import ast
import re

from embedded import ROOT

PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^\| `(.+?)` \|", PAGE, re.MULTILINE)


def texts():
    """Every text of the library, what is filled in left out."""
    for path in (ROOT / "handan").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(p.value if isinstance(p, ast.Constant) else "…" for p in node.values)


def test_every_sentence_of_the_page_is_one_of_the_library():
    said = "\n".join(texts())
    assert len(QUOTED) > 25
    pieces = [piece.strip(" ';") for sentence in QUOTED for piece in sentence.split("…")]
    assert [piece for piece in pieces if piece not in said] == []


def test_every_exit_code_is_explained():
    for code in (0, 1, 2, 75, 130, 141):
        assert f"\n| {code} |" in PAGE
