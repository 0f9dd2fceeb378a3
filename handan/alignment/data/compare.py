"""Several runs as one table: their models' costs side by side, if they were measured alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from handan.alignment.data.cost_table import CostTable, check_table, joined
from handan.alignment.data.costs import read_costs
from handan.alignment.data.human_side import check_sources, raw_notes
from handan.errors import UserError
from handan.records import read_json
from handan.run_files import read_asked


class Runs(NamedTuple):
    """All rows, one sentence a warning, the models of each run directory, and run.json by model."""

    table: CostTable
    notes: list[str]
    models: dict[Path, list[str]]
    trained: dict[str, dict[str, Any]]


def read_runs(run_dirs: Sequence[Path], allow_different: bool) -> Runs:
    """Read ``costs.csv`` and ``run.json`` of each run, and check that the runs are comparable.

    A run's model is named after 'arm' in ``run.json``, or else after its directory. A run with
    several models keeps their names, after the run's.

    Raises:
        UserError: a file is missing or wrong, two runs have the same name or disagree on people,
            times are not those of the norms they name, or, if ``allow_different`` is false, a value
            in 'comparability' of ``run.json`` or the text or answer of an item differs.
    """
    tables: list[CostTable] = []
    notes: list[str] = []
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
            raise UserError(
                f"{run_dir / 'run.json'}: no 'comparability'; evaluate the run with eval/run.py"
            )
        first = conditions if first is None else first
        differences = _differences(run_dirs[0], first, run_dir, conditions)
        for item, texts in read_asked(run_dir).items():
            before, other = asked.setdefault(item, (texts, run_dir))
            if before != texts:
                differences.append(f"{', '.join(item)} is asked otherwise in {other} and {run_dir}")
                break
        for difference in differences:
            if not allow_different:
                raise UserError(f"{difference}; evaluate them alike or add --allow-different")
            notes.append(f"warning: runs are not comparable: {difference}")
        form = (run.get("evaluation") or {}).get("reasoning_format")
        first_format = form if not models else first_format
        if form != first_format:
            # Models of two families mark their reasoning differently, and rightly so.
            notes.append(
                f"reasoning_format is {first_format} in {run_dirs[0]} but {form} in {run_dir}"
            )
        costs = read_costs(run_dir / "costs.csv")
        named = _renamed(costs.table, str(run.get("arm") or run_dir.resolve().name))
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
    table = joined(tables)
    check_table(table)
    check_sources(table)
    return Runs(table, notes + raw_notes(table), models, trained)


def reference_model(runs: Runs, reference: str | None) -> str | None:
    """The model meant by ``--reference``: a model's name, or the directory of a run.

    Raises:
        UserError: the reference is neither.
    """
    names = [name for of_run in runs.models.values() for name in of_run]
    if reference is None or reference in names:
        return reference
    for run_dir, of_run in runs.models.items():
        if Path(reference).resolve() == run_dir.resolve():
            return of_run[0]
    raise UserError(f"no run or model '{reference}' to refer to; there are: {', '.join(names)}")


def _differences(dir_a: Path, a: dict, dir_b: Path, b: dict) -> list[str]:
    absent = "nothing"
    return [
        f"{key} is {a.get(key, absent)} in {dir_a} but {b.get(key, absent)} in {dir_b}"
        for key in {**a, **b}
        if a.get(key, absent) != b.get(key, absent)
    ]


def _renamed(table: CostTable, name: str) -> CostTable:
    models = table.names("model")
    if len(models) == 1:
        return table.with_models({models[0]: name})
    return table.with_models(
        {model: model if model.startswith(name) else f"{name}: {model}" for model in models}
    )
