"""A zoo: published models, how they are related, and how each is asked, all in one YAML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from handan.alignment.costs import GREEDY, decoded_name
from handan.config import load_yaml
from handan.errors import UserError
from handan.files import shipped
from handan.generation.formats import AUTO, FORMATS
from handan.generation.loading import COMMIT

ROLES = ("teacher", "student", "instruct", "initial")
RESERVED_NAMES = ("logs", "report")  # directories beside those of the entries


@dataclass(frozen=True)
class Recommended:
    """Decoding that a model's card or generation_config.json recommends; the suite's is used."""

    temperature: float
    top_p: float


@dataclass(frozen=True)
class Entry:
    name: str  # in all tables, and of its run directory
    model: str  # owner/name on the hub, or a directory
    # teacher; student, distilled from one; instruct, the tuned model a student is often compared
    # with; initial, the weights a student began with
    role: str
    reasoning_format: str
    license: str  # of the weights
    revision: str | None  # commit of the hub repository; main is not pinned, null for a directory
    recommended: Recommended | None = None
    gated: bool = False  # whether the hub asks for an accepted licence and a token
    base: str | None = None  # the entry whose weights its training began with
    control: str | None = None  # the instruct entry of its size that stands for its base elsewhere
    teacher: str | None = None  # the entry whose traces it was trained on
    engine: str | None = None  # YAML of an engine for this model alone
    context: int | None = None  # tokens it was made for, where that may be too few
    in_study: bool = False  # a model of the paper that the zoo reproduces
    inferred: bool = False  # the relations are our inference
    note: str | None = None

    @property
    def is_local(self) -> bool:
        return Path(shipped(self.model)).is_dir()

    @property
    def is_pinned(self) -> bool:
        """Whether the weights can be no others tomorrow."""
        return self.is_local or COMMIT.fullmatch(self.revision or "") is not None

    def relations(self) -> dict[str, str]:
        named = {"base": self.base, "control": self.control, "teacher": self.teacher}
        return {kind: name for kind, name in named.items() if name is not None}


@dataclass(frozen=True)
class Zoo:
    name: str
    engine: str | None  # its YAML; transformers without
    models: list[Entry]

    def chosen(self, names: list[str] | None) -> list[Entry]:
        """Choose the entries called ``names``, or all of them."""
        known = {entry.name: entry for entry in self.models}
        for name in names or ():
            if name not in known:
                raise UserError(f"--only: no model '{name}' in the zoo; known: {', '.join(known)}")
        return [known[name] for name in names] if names else self.models


def load_zoo(path: Path) -> Zoo:
    zoo = load_yaml(path, Zoo)
    for problem in _problems(zoo):
        raise UserError(f"{path}: {problem}")
    return zoo


def _problems(zoo: Zoo) -> Iterator[str]:
    names = [entry.name for entry in zoo.models]
    if not names or len(set(names)) < len(names):
        yield "'models' must hold at least one model, each name only once"
    for entry in zoo.models:
        for problem in _problems_of(entry, names):
            yield f"{entry.name}: {problem}"
    related = {entry.name: set(entry.relations().values()) for entry in zoo.models}
    while done := [name for name, others in related.items() if not others]:
        related = {name: others - set(done) for name, others in related.items() if name not in done}
    if related:
        circle = f"{', '.join(related)} are their own base, control or teacher in the end"
        yield f"{circle}; relations must lead from students to others"


def _problems_of(entry: Entry, names: list[str]) -> Iterator[str]:
    fit = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", entry.name)
    if not fit or entry.name in RESERVED_NAMES:
        yield "a name must be fit for a directory: letters, digits, . _ -"
    if entry.role not in ROLES:
        yield f"role '{entry.role}'; use {', '.join(ROLES)}"
    if entry.reasoning_format not in (AUTO, *FORMATS):
        yield f"reasoning_format '{entry.reasoning_format}'; use {', '.join((AUTO, *FORMATS))}"
    own = entry.recommended
    if own is not None and not (own.temperature > 0 and 0 < own.top_p <= 1):
        yield "recommended needs a temperature above 0, and top_p above 0 and at most 1"
    if entry.revision is None and not entry.is_local:
        yield "set 'revision' to a commit, or to main if it is not known"
    for kind, name in entry.relations().items():
        if name not in names:
            yield f"its {kind} '{name}' is not in the zoo; add or rename it"
    if entry.role == "student" and not entry.relations():
        yield "a student needs a base, a control or a teacher"


def pair_rows(zoo: Zoo, greedy: bool) -> list[dict[str, str]]:
    """Pair each student with its teacher and each baseline, at temperature 0 too if ``greedy``."""
    rows = []
    for entry in (entry for entry in zoo.models if entry.role == "student"):
        for base in dict.fromkeys(name for name in (entry.control, entry.base) if name) or [""]:
            rows.append({"student": entry.name, "base": base, "teacher": entry.teacher or ""})
    if greedy:
        rows += [
            {role: name and decoded_name(name, GREEDY) for role, name in row.items()}
            for row in rows
        ]
    return rows
