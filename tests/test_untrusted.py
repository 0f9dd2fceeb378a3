"""What our own code must never do with text and files of others: found in its syntax trees."""

import ast
from pathlib import Path

import pytest
from embedded import ROOT

FILES = [
    path
    for folder in ("handan", "recipes", "eval", "benchmarks", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "run_notebooks.py"  # runs the notebooks of the documents, which are ours
]
# A name, or the end of a dotted name, that is called, and the files that may.
FORBIDDEN = {
    **dict.fromkeys(("eval", "exec", "compile", "__import__", "literal_eval"), ()),
    **dict.fromkeys(("sympify", "parse_expr", "parse_latex", "lambdify"), ()),
    **dict.fromkeys(("torch.load", "joblib.load", "pickle.load", "pickle.loads"), ()),
    **dict.fromkeys(("marshal.loads", "dill.load", "dill.loads", "shelve.open"), ()),
    **dict.fromkeys(("yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all"), ()),
    **dict.fromkeys(("os.system", "os.popen", "read_pickle"), ()),
}
MODULES = {"pickle", "cPickle", "joblib", "dill", "shelve", "marshal"}
MODULES |= {"pingouin"}  # its licence lets tests compare with it, not the package contain it


def dotted(node):
    """A called name as it is written: 're.compile', 'open'."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value) or '(value)'}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def problems(text):
    """Calls in a module that could run what they are given."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {name.name for name in node.names} | {getattr(node, "module", None)}
            found += sorted(MODULES & names)
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        known = name in FORBIDDEN or name.split(".")[-1] in FORBIDDEN
        if (
            known
            and name not in ("re.compile", "torch.compile", "model.eval")
            and not (name.endswith(".eval") and not node.args)
        ):
            found.append(name)
        keywords = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        if keywords.get("allow_pickle") or keywords.get("shell"):
            found.append(f"{name}(allow_pickle or shell)")
        if keywords.get("weights_only") is False or keywords.get("trust_remote_code") is True:
            found.append(f"{name}(weights_only or trust_remote_code)")
        if name.endswith(".from_pretrained") and name.split(".")[-2].startswith("Auto"):
            told = "trust_remote_code" in keywords or None in keywords
            found += [] if told else [f"{name} without trust_remote_code"]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_of_ours_runs_or_unpickles_what_it_is_given(path):
    assert problems(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "eval(x)",
        "import pickle",
        "from joblib import load",
        "torch.load(p)",
        "numpy.load(p, allow_pickle=True)",
        "subprocess.run(x, shell=True)",
        "yaml.load(x, Loader=yaml.Loader)",
        "AutoModel.from_pretrained(x)",
        "AutoConfig.from_pretrained(x, trust_remote_code=True)",
        "sympy.sympify(x)",
    ],
)
def test_the_search_finds_each_kind(text):
    assert problems(text)


def test_the_search_passes_what_only_looks_like_it():
    assert problems("re.compile(x)\nmodel.eval()\nAutoModel.from_pretrained(x, **more)") == []


def test_all_of_our_files_are_searched():
    assert len(FILES) > 140 and Path(ROOT / "handan/tasks/equivalence.py") in FILES
