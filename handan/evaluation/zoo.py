"""A zoo: published models, how they are related, and how each is asked.

One YAML names them; `eval/run.py --zoo` evaluates all of them on one suite and compares students
with their bases and teachers. What a model needs of memory is in ``architectures.yaml``.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from handan.alignment.costs import GREEDY, decoded_name
from handan.config import load_yaml
from handan.errors import UserError
from handan.evaluation.suite import Suite
from handan.generation.formats import AUTO, FORMATS
from handan.generation.loading import COMMIT

ROLES = ("teacher", "student", "instruct", "initial")
DECODINGS = ("suite", "recommended")
# Names become directories beside the zoo's own files.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
RESERVED = ("logs", "report")


@dataclass(frozen=True)
class Recommended:
    """Decoding that a model's card or generation_config.json recommends."""

    temperature: float
    top_p: float


@dataclass(frozen=True)
class Entry:
    """One model of a zoo.

    Attributes:
        name: in all tables, and of its run directory.
        model: ``owner/name`` on the hub, or a directory.
        role: ``teacher``; ``student``, distilled from a teacher; ``instruct``, the tuned model a
            student is often compared with; ``initial``, the weights a student began with.
        reasoning_format: a name of ``handan.generation.formats``, or ``auto``.
        license: of the weights.
        revision: commit of the hub repository; ``main`` is not pinned, null for a directory.
        recommended: decoding of the model's card; null if it names none.
        gated: whether the hub asks for an accepted licence and a token.
        base: the entry whose weights its training began with.
        control: the instruct entry of its size that stands for its base elsewhere.
        teacher: the entry whose traces it was trained on.
        engine: YAML of an engine for this model alone; null for the zoo's.
        context: tokens of prompt and response it was made for, where that may be too few.
        in_study: whether it is among the models of the study the zoo reproduces.
        inferred: whether that is our inference.
        note: anything a reader should know.
    """

    name: str
    model: str
    role: str
    reasoning_format: str
    license: str
    revision: str | None
    recommended: Recommended | None = None
    gated: bool = False
    base: str | None = None
    control: str | None = None
    teacher: str | None = None
    engine: str | None = None
    context: int | None = None
    in_study: bool = False
    inferred: bool = False
    note: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether the model is a directory rather than a hub repository."""
        return Path(self.model).is_dir()

    @property
    def is_pinned(self) -> bool:
        """Whether the weights can be no others tomorrow."""
        return self.is_local or COMMIT.fullmatch(self.revision or "") is not None

    def relations(self) -> dict[str, str]:
        """Names of related entries by the kind of relation."""
        named = {"base": self.base, "control": self.control, "teacher": self.teacher}
        return {kind: name for kind, name in named.items() if name is not None}


@dataclass(frozen=True)
class Zoo:
    """Models that are measured alike.

    Attributes:
        name: of the zoo.
        decoding: ``suite``: all models under the suite's temperature and top_p; ``recommended``:
            each under its own, where it has one.
        engine: YAML of the engine; null for transformers.
        models: the entries.
    """

    name: str
    decoding: str
    engine: str | None
    models: list[Entry]

    def chosen(self, names: list[str] | None) -> list[Entry]:
        """The entries called ``names``, or all of them.

        Raises:
            UserError: there is no such entry.
        """
        known = {entry.name: entry for entry in self.models}
        for name in names or ():
            if name not in known:
                raise UserError(f"--only: no model '{name}' in the zoo; known: {', '.join(known)}")
        return [known[name] for name in names] if names else self.models

    def suite_for(self, entry: Entry, suite: Suite) -> Suite:
        """The suite as this entry answers it: its own decoding only if the zoo says so."""
        if self.decoding == "suite" or entry.recommended is None:
            return suite
        own = entry.recommended
        return replace(suite, temperature=own.temperature, top_p=own.top_p)


def load_zoo(path: Path) -> Zoo:
    """Read and check a zoo.

    Raises:
        UserError: names the file, the entry and the cure.
    """
    zoo = load_yaml(path, Zoo)
    if zoo.decoding not in DECODINGS:
        raise UserError(f"{path}: decoding '{zoo.decoding}'; use {' or '.join(DECODINGS)}")
    names = [entry.name for entry in zoo.models]
    if not names or len(set(names)) < len(names):
        raise UserError(f"{path}: 'models' must hold at least one model, each name only once")
    for entry in zoo.models:
        _check(entry, names, f"{path}: {entry.name}")
    _refuse_cycles(zoo, path)
    return zoo


def _check(entry: Entry, names: list[str], place: str) -> None:
    if not NAME.fullmatch(entry.name) or entry.name in RESERVED:
        raise UserError(f"{place}: a name must be fit for a directory: letters, digits, . _ -")
    if entry.role not in ROLES:
        raise UserError(f"{place}: role '{entry.role}'; use {', '.join(ROLES)}")
    if entry.reasoning_format not in (AUTO, *FORMATS):
        known = ", ".join((AUTO, *FORMATS))
        raise UserError(f"{place}: reasoning_format '{entry.reasoning_format}'; use {known}")
    own = entry.recommended
    if own is not None and not (own.temperature > 0 and 0 < own.top_p <= 1):
        raise UserError(
            f"{place}: recommended needs a temperature above 0, and top_p above 0 and at most 1"
        )
    if entry.revision is None and not entry.is_local:
        raise UserError(f"{place}: set 'revision' to a commit, or to main if it is not known")
    for kind, name in entry.relations().items():
        if name not in names:
            raise UserError(f"{place}: its {kind} '{name}' is not in the zoo; add or rename it")
    if entry.role == "student" and not entry.relations():
        raise UserError(f"{place}: a student needs a base, a control or a teacher")


def _refuse_cycles(zoo: Zoo, path: Path) -> None:
    related = {entry.name: set(entry.relations().values()) for entry in zoo.models}
    while done := [name for name, others in related.items() if not others]:
        related = {name: others - set(done) for name, others in related.items() if name not in done}
    if related:
        raise UserError(
            f"{path}: {', '.join(related)} are their own base, control or teacher in the end; "
            "relations must lead from students to others"
        )


def pair_rows(zoo: Zoo, greedy: bool) -> list[dict[str, str]]:
    """Rows of ``pairs.csv``: each student with its teacher and with each kind of baseline.

    Args:
        zoo: the models.
        greedy: whether the suite has responses at temperature 0, which are paired alike.
    """
    rows = []
    for entry in zoo.models:
        if entry.role != "student":
            continue
        baselines = dict.fromkeys(name for name in (entry.control, entry.base) if name)
        for base in baselines or [""]:
            rows.append({"student": entry.name, "base": base, "teacher": entry.teacher or ""})
    if greedy:
        rows += [
            {role: name and decoded_name(name, GREEDY) for role, name in row.items()}
            for row in rows
        ]
    return rows
