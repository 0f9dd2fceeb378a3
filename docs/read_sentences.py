"""The sentences of ``UserError`` in a source, written out where they are put together elsewhere.

A sentence is what ``UserError`` is called with. Parts of it may be names. A name is replaced by its
text where that is made in the same function (``cure = "..."``), is handed over by callers, or comes
from a function that says what is wrong (``-> str | None`` or ``Iterator[str]``). Any other part is
shown by its name in italics.
"""

import ast
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

SAYS_WHAT_IS_WRONG = ("str | None", "Iterator[str]")
MOST_ALTERNATIVES = 24
# Of these the name says enough, however they are put together.
PLACES = ("place", "path", "error")


class Place(NamedTuple):
    """Where an expression stands: its module, and its function if it is in one."""

    module: str
    function: ast.FunctionDef | None


class Sources:
    """Modules that are read together, since one may say what another raises.

    Args:
        paths: of the modules, by their names.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.trees = {n: ast.parse(path.read_text(encoding="utf-8")) for n, path in paths.items()}
        self.functions: dict[str, list[Place]] = {}
        self.calls: dict[str, list[tuple[ast.Call, Place]]] = {}
        for module, tree in self.trees.items():
            for call, function in _calls(tree):
                self.calls.setdefault(_called(call), []).append((call, Place(module, function)))
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    self.functions.setdefault(node.name, []).append(Place(module, node))

    def sentences(self, module: str) -> Iterator[str]:
        """Every sentence of a module, its alternatives one by one."""
        for call, place in self.calls.get("UserError", []):
            if place.module == module and call.args:
                yield from self.texts(call.args[0], place)
        for place in self.functions.get("disk_sentence", []):
            if place.module == module and place.function is not None:
                yield from self._said_by(place)

    def texts(self, node: ast.expr, place: Place, depth: int = 0) -> list[str]:
        """What an expression may read as, in Markdown."""
        if isinstance(node, ast.Constant):
            return [plain(str(node.value))]
        if isinstance(node, ast.JoinedStr):
            return self._joined([self.texts(part, place, depth) for part in node.values])
        if isinstance(node, ast.FormattedValue):
            return self.texts(node.value, place, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides = [self.texts(side, place, depth) for side in (node.left, node.right)]
            return self._joined(sides)
        if isinstance(node, ast.IfExp) and depth < 3:
            return [t for part in (node.body, node.orelse) for t in self.texts(part, place, depth)]
        if isinstance(node, ast.Name) and (constant := self._constant(node.id, place.module)):
            return constant
        if isinstance(node, ast.Name) and depth < 3:
            return self._meant(node.id, place, depth + 1) or [italic(node)]
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and depth < 3:
            return self._chosen(node.value.id, place, depth + 1) or [italic(node)]
        if isinstance(node, ast.Call) and depth < 3:
            if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
                return self.texts(node.func.value, place, depth)
            said = [t for where in self._sayers(node, place) for t in self._said_by(where)]
            return said or [italic(node)]
        return [italic(node)]

    def _joined(self, parts: list[list[str]]) -> list[str]:
        found = list(itertools.islice(itertools.product(*parts), MOST_ALTERNATIVES))
        return list(dict.fromkeys(re.sub(r"\*\*(?=\w)", "* *", "".join(one)) for one in found))

    def _chosen(self, name: str, place: Place, depth: int) -> list[str]:
        """The sentences in a dictionary of the module; none if it holds values."""
        for node in self.trees[place.module].body:
            named = isinstance(node, ast.Assign) and _names(name, node.targets)
            if named and isinstance(node.value, ast.Dict):
                found = [t for v in node.value.values for t in self.texts(v, place, depth)]
                return found if all(" " in text for text in found) else []
        return []

    def _constant(self, name: str, module: str) -> list[str]:
        """The text that a module calls by a name."""
        for node in self.trees[module].body:
            named = isinstance(node, ast.Assign) and _names(name, node.targets)
            if named and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                return [plain(node.value.value)]
        return []

    def _meant(self, name: str, place: Place, depth: int) -> list[str]:
        """Texts that a name stands for; none if it is a value."""
        if name in PLACES:
            return []
        found: list[str] = []
        if place.function is None:
            return []
        other = False
        for value in _assigned(name, place.function):
            if isinstance(value, ast.Constant | ast.JoinedStr | ast.IfExp):
                found += self.texts(value, place, depth)
            else:
                other = other or isinstance(value, ast.Attribute)
                for call in (c for c in ast.walk(value) if isinstance(c, ast.Call)):
                    for where in self._sayers(call, place):
                        found += self._said_by(where)
        arguments = [a.arg for a in place.function.args.args + place.function.args.kwonlyargs]
        if name in arguments:
            index = arguments.index(name)
            for call, caller in self.calls.get(place.function.name, []):
                keywords = {k.arg: k.value for k in call.keywords}
                handed = keywords.get(name, call.args[index] if index < len(call.args) else None)
                if isinstance(handed, ast.Constant | ast.JoinedStr | ast.IfExp):
                    found += self.texts(handed, caller, depth)
        # A bare word is a value such as the name of a column.
        return found if not other and any(" " in text for text in found) else []

    def _sayers(self, call: ast.Call, place: Place) -> list[Place]:
        """The functions that a call may mean, if they say what is wrong."""
        found = [
            where
            for where in self.functions.get(_called(call), [])
            if where.function is not None
            and where.function.returns is not None
            and ast.unparse(where.function.returns) in SAYS_WHAT_IS_WRONG
        ]
        return [where for where in found if where.module == place.module] or found

    def _said_by(self, place: Place) -> list[str]:
        """Texts that a function returns or yields."""
        found: list[str] = []
        assert place.function is not None
        for node in ast.walk(place.function):
            kept = isinstance(node, ast.Return | ast.Yield)
            if kept and isinstance(node.value, ast.Constant | ast.JoinedStr | ast.BinOp):
                found += [text for text in self.texts(node.value, place, 2) if " " in text]
            if isinstance(node, ast.YieldFrom) and isinstance(node.value, ast.Call):
                for where in self._sayers(node.value, place):
                    found += self._said_by(where)
        return found


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
    """Every call with the innermost function it is in."""

    def below(node: ast.AST, function: ast.FunctionDef | None) -> Iterator[tuple]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                yield child, function
            yield from below(child, child if isinstance(child, ast.FunctionDef) else function)

    return below(tree, None)


def _called(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def _assigned(name: str, function: ast.FunctionDef) -> Iterator[ast.expr]:
    """What is assigned to a name in a function."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.NamedExpr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if _names(name, targets):
                yield node.value
        if isinstance(node, ast.For) and getattr(node.target, "id", None) == name:
            yield node.iter


def _names(name: str, targets: list[ast.expr]) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def plain(text: str) -> str:
    """Text that Markdown shows as it is, also in a table."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def italic(node: ast.expr) -> str:
    """The name of a value, as a reader may call it."""
    return f"*{_name(node)}*"


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id.strip("_").replace("_", " ")
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_").replace("_", " ")
    if isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return node.slice.value.replace("_", " ")
        return _name(node.value)
    if isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr == "join" and node.args:
            return f"{_name(node.args[0])}, …"
        if isinstance(called, ast.Name) and called.id == "len" and node.args:
            return f"number of {_name(node.args[0])}"
        if isinstance(called, ast.Name) and node.args:
            return _name(node.args[0])
        if isinstance(called, ast.Attribute):
            return _name(called.value)
    if isinstance(node, ast.Starred | ast.BoolOp):
        return _name(node.value if isinstance(node, ast.Starred) else node.values[0])
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)):
        return "…"
    last = node.right.value if isinstance(node.right, ast.Constant) else _name(node.right)
    return f"{_name(node.left)}/{plain(str(last))}"
