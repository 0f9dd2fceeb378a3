"""Models to compare: their pairs and roles, the items both have, and several runs as one table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from handan.alignment.costs import (
    DECODINGS,
    CostTable,
    check_table,
    decoded_name,
    read_costs,
    split_name,
)
from handan.alignment.items import TaskCosts
from handan.alignment.participants import check_sources, raw_notes
from handan.errors import UserError
from handan.files import read_json
from handan.inputs import Source, at, called, read_table
from handan.rundir import first_difference, read_asked, read_settings

CostsByModel = Mapping[str, Mapping[str, TaskCosts]]
Pairs = list[tuple[str, str]]
SharedTasks = dict[tuple[str, str], dict[str, tuple[TaskCosts, TaskCosts]]]

MAX_MODELS_FOR_ALL_PAIRS = 6


class Comparisons(NamedTuple):
    """Pairs of models by what is asked of them."""

    contrasts: Pairs  # (a, b), whose correlations are compared
    inflation: Pairs  # (student, base), whose lengths are regressed
    effort: Pairs  # (model, teacher), whose distributions of length are compared
    roles: Mapping[tuple[str, str], tuple[str, str]]  # of a contrast's models, where known


def compared_with(models: Sequence[str], reference: str | None) -> Comparisons:
    """Every model with the reference; without one only contrasts, of all pairs of few models."""
    pairs = choose_pairs(models, reference)
    return Comparisons(pairs, pairs if reference else [], [], {})


def read_pairs(source: Source, models: Sequence[str]) -> Comparisons:
    """Comparisons of students with their bases and teachers, a row each of a table.

    A student is contrasted with both, and its teacher with its base; its lengths are regressed on
    those of the base and compared with the teacher's.
    """
    roles: dict[tuple[str, str], tuple[str, str]] = {}
    inflation: dict[tuple[str, str], None] = {}
    effort: dict[tuple[str, str], None] = {}
    header, rows = read_table(source)
    if "student" not in header or not {"base", "teacher"} & set(header):
        raise UserError(f"{called(source)}: needs the columns student and base, teacher or both")
    for place, row in rows:
        student, base, teacher = (row.get(name, "") for name in ("student", "base", "teacher"))
        for name in (student, base, teacher):
            if name and name not in models:
                raise UserError(f"{place}: no model '{name}'; there are: {', '.join(models)}")
        if not student or not (base or teacher) or student in (base, teacher):
            what = "name a student and another model as its base, its teacher or both"
            raise UserError(f"{place}: {what}")
        if teacher:
            roles[student, teacher] = ("student", "teacher")
            effort[student, teacher] = None
        if base:  # a model may be both, as where a student imitates its own base
            roles[student, base] = ("student", "base")
            inflation[student, base] = None
        if base and teacher and base != teacher:
            roles.setdefault((teacher, base), ("teacher", "base"))
            effort.setdefault((base, teacher), None)
    return Comparisons(list(roles), list(inflation), list(effort), roles)


def choose_pairs(models: Sequence[str], reference: str | None) -> list[tuple[str, str]]:
    """Every model against the reference; without one all pairs, or none beyond six models.

    Greedy models are paired with greedy ones if the reference has both decodings.
    """
    if reference is None:
        few = len(models) <= MAX_MODELS_FOR_ALL_PAIRS
        return [pair for pair in combinations(models, 2) if decoded_alike(*pair)] if few else []
    references = {of: decoded_name(split_name(reference)[0], of) for of in DECODINGS}
    if not set(references.values()) <= set(models):
        return [(model, reference) for model in models if model != reference]
    pairs = [(model, references[split_name(model)[1]]) for model in models]
    return [(model, other) for model, other in pairs if model != other]


def decoded_alike(a: str, b: str) -> bool:
    """Whether both models are greedy, or neither is."""
    return split_name(a)[1] == split_name(b)[1]


def shared_tasks(costs: CostsByModel, pairs: Sequence[tuple[str, str]]) -> SharedTasks:
    """For each pair and task of both: the costs of both on the items where both have a log cost."""
    for name in [name for pair in pairs for name in pair]:
        if name not in costs:
            raise UserError(f"no model '{name}'; there are: {', '.join(costs)}")
    shared: SharedTasks = {}
    for a, b in pairs:
        shared[a, b] = {}
        for task in (task for task in costs[a] if task in costs[b]):
            of_a, of_b = costs[a][task].thinking(), costs[b][task].thinking()
            items = set(of_a.items) & set(of_b.items)
            shared[a, b][task] = of_a.select(items), of_b.select(items)
    return shared


class Runs(NamedTuple):
    """All rows, one sentence a warning, the models of each run directory, and run.json by model."""

    table: CostTable
    notes: list[str]
    models: dict[Path, list[str]]
    trained: dict[str, dict[str, Any]]


def read_runs(run_dirs: Sequence[Path], allow_different: bool) -> Runs:
    """Read ``costs.csv`` and ``run.json`` of each run, and check that the runs are comparable.

    A run's model is named after 'arm' in ``run.json``, or else after its directory. Several models
    keep their names, after the run's.
    """
    tables, notes = [], []
    models: dict[Path, list[str]] = {}
    trained: dict[str, dict[str, Any]] = {}
    first: dict | None = None
    asked: dict[tuple[str, str], tuple[tuple[str, str], Path]] = {}  # and who asked it first
    first_format: str | None = None
    for run_dir in run_dirs:
        if run_dir in models or not run_dir.is_dir():
            raise UserError(f"{run_dir}: named twice, or not a directory; name each run once")
        run = read_json(run_dir / "run.json")
        conditions = run.get("comparability") if isinstance(run, dict) else None
        if not isinstance(conditions, dict):
            cure = "no 'comparability'; evaluate the run with handan evaluate"
            raise UserError(f"{run_dir / 'run.json'}: {cure}")
        first = conditions if first is None else first
        differences = []
        for key in {**first, **conditions}:
            before, here = (of.get(key, "nothing") for of in (first, conditions))
            if before != here and key == "suite_hash":  # which names no key of the suite
                a, b = (read_settings(of).get("evaluation", {}) for of in (run_dirs[0], run_dir))
                found = first_difference(a.get("suite"), b.get("suite"), "suite")
                key, before, here = found or (key, before, here)
            if before != here:
                differences.append(f"{key} is {before} in {run_dirs[0]} but {here} in {run_dir}")
        for item, texts in read_asked(run_dir).items():
            asked_before, other = asked.setdefault(item, (texts, run_dir))
            if asked_before != texts:
                differences.append(f"{', '.join(item)} is asked otherwise in {other} and {run_dir}")
                break
        for difference in differences:
            if not allow_different:
                raise UserError(f"{difference}; evaluate them alike or add --allow-different")
            notes.append(f"warning: runs are not comparable: {difference}")
        form = (run.get("evaluation") or {}).get("reasoning_format")
        first_format = form if not models else first_format
        if form != first_format:
            formats = f"{first_format} in {run_dirs[0]} but {form} in {run_dir}"
            notes.append(f"reasoning_format is {formats}")
        costs = read_costs(run_dir / "costs.csv")
        named = named_after(str(run.get("arm") or run_dir.resolve().name), costs.table)
        models[run_dir] = named.names("model")
        trained[models[run_dir][0]] = run
        for other, names in models.items():
            if other != run_dir and (same := set(names) & set(models[run_dir])):
                raise UserError(
                    f"{other} and {run_dir} both have a model named '{min(same)}'; "
                    "rename 'arm' in one run.json"
                )
        tables.append(named)
        notes += costs.notes
    table = CostTable.joined(tables)
    check_table(table)
    check_sources(table)
    return Runs(table, notes + raw_notes(table), models, trained)


def named_after(name: str, table: CostTable) -> CostTable:
    """The table with its model so named; several keep their names after it."""
    own = table.names("model")
    several = {of: of if of.startswith(name) else f"{name}: {of}" for of in own}
    return table.with_models({own[0]: name} if len(own) == 1 else several)


def joined_costs(costs: Mapping[str, Source]) -> tuple[CostTable, list[str]]:
    """Costs by the name of their model as one table, and all notes on them."""
    tables, notes = [], []
    for name, source in costs.items():
        with at(name):
            found = read_costs(source)
        named = named_after(name, found.table)
        tables.append(replace(named, places=[f"{name}: {place}" for place in named.places]))
        notes += [f"{name}: {note}" for note in found.notes]
    if not tables:
        raise UserError("no costs to compare; give a mapping of names to them")
    table = CostTable.joined(tables)
    check_table(table)
    check_sources(table)
    return table, notes + raw_notes(table)


def reference_model(runs: Runs, reference: str | None) -> str | None:
    """The model meant by ``--reference``: a model's name, or the directory of a run."""
    names = [name for of_run in runs.models.values() for name in of_run]
    if reference is None or reference in names:
        return reference
    for run_dir, of_run in runs.models.items():
        if Path(reference).resolve() == run_dir.resolve():
            return of_run[0]
    raise UserError(f"no run or model '{reference}' to refer to; there are: {', '.join(names)}")
