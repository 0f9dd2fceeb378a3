"""The layers of the library: what a module may import, and that no circle closes."""

import ast
from graphlib import TopologicalSorter

from embedded import ROOT

# From the lowest layer up; '' holds the modules that belong to no package.
LAYERS = (
    *("", "norms", "tasks", "tiny", "generation", "alignment", "evaluation", "readers"),
    *("training", "traces", "report", "experiments"),
)
# Commands and what stands for them in Python: they may import whatever they start, and no module
# imports them but the package itself, when one of its names is used.
COMMANDS = {"handan.__main__", "handan.cli", "handan.doctor", "handan.publish", "handan.api"}
PACKAGE = "handan"
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "handan").rglob("*.py")
}


def imported(module, everywhere):
    """Modules of ours that a module imports, inside functions too if ``everywhere``."""
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("handan"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in FILES else node.module


def layer(module):
    name = module.split(".")[1] if module.count(".") else ""
    return LAYERS.index(name) if name in LAYERS else 0


def test_no_imports_run_in_a_circle():
    graph = {module: set(imported(module, everywhere=False)) for module in FILES}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(FILES)


def test_a_layer_imports_lower_ones_alone():
    upward = [
        (module, other)
        for module in sorted(FILES.keys() - COMMANDS - {PACKAGE})
        for other in imported(module, everywhere=True)
        if layer(other) > layer(module) or other in COMMANDS
    ]
    assert upward == []


def test_no_two_modules_have_one_name():
    names = [path.stem for path in FILES.values() if path.stem != "__init__"]
    assert {name for name in names if names.count(name) > 1} == set()
    packages = {path.parent.name for path in FILES.values()}
    assert {name for name in names if name in packages} == set()


def test_the_library_keeps_its_size():
    assert len(FILES) <= 130
