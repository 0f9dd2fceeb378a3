"""handan from Python: ``align``, ``compare`` and ``evaluate``, as on the command line."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handan.alignment import align as alignment
from handan.alignment import participants
from handan.alignment.costs import (
    GREEDY,
    CostTable,
    decoded_name,
    read_costs,
    split_name,
    with_cost_rule,
)
from handan.alignment.items import final_costs, item_costs
from handan.alignment.pairs import joined_costs, read_pairs, read_runs, reference_model
from handan.alignment.participants import Participants
from handan.alignment.tables import (
    alignment_notes,
    alignment_text,
    shown_tables,
    tables,
    verdicts,
    write_tables,
)
from handan.budgets import TOLERANCE, compare_pairs
from handan.errors import UserError, printable
from handan.formatting import as_html, data_frame, flat
from handan.inputs import Source

if TYPE_CHECKING:
    import pandas as pd

    from handan.report.comparison import Group
    from handan.report.plots import Plot

EQUIVALENCE_BOUND, BOOTSTRAP, SEED, TASK_WEIGHTS = 0.1, 10_000, 0, "inverse_variance"


def align(
    costs: Source,
    *,
    reference: str | None = None,
    pairs: Source | None = None,
    norms: Path | str | None = None,
    trials: Path | str | None = None,
    mixed: bool = False,
    cost_rule: str | None = None,
    equivalence_bound: float = EQUIVALENCE_BOUND,
    task_weights: str = TASK_WEIGHTS,
    bootstrap: int = BOOTSTRAP,
    seed: int = SEED,
) -> "Alignment":
    """Alignment of the models in a table of costs, one row a sample.

    ``costs`` are the path of a CSV, a data frame, a mapping of columns to lists, or a list of
    mappings; its columns are those of ``costs.csv`` (docs/own-data.md), and None and NaN are empty
    cells. ``norms`` is a folder of them or 'packaged'. Everything else is as in ``handan align``.
    """
    if norms is not None and trials is not None:
        raise UserError("trials give times and reliability, and so do norms; give one of them")
    elsewhere = norms is not None or trials is not None
    table, notes = read_costs(costs, people_elsewhere=elsewhere)
    people, folder = None, _norms_folder(norms)
    if folder is not None:
        table, more = participants.with_norms(table, folder)
        notes += more
    elif trials is not None:
        people, more = participants.participants_of_trials(Path(trials), table)
        notes += more
    if trials is None:
        participants.check_sources(table, folder)
        notes += participants.raw_notes(table)
    return _aligned(
        table,
        notes,
        reference=reference,
        pairs=pairs,
        cost_rule=cost_rule,
        participants=people,
        norms_dir=folder,
        mixed=mixed,
        equivalence_bound=equivalence_bound,
        task_weights=task_weights,
        bootstrap=bootstrap,
        seed=seed,
    )


def compare(
    runs: Sequence[Path | str] | Mapping[str, Source],
    *,
    reference: Path | str | None = None,
    pairs: Source | None = None,
    allow_different: bool = False,
    budget_tolerance: float = TOLERANCE,
    cost_rule: str | None = None,
    equivalence_bound: float = EQUIVALENCE_BOUND,
    task_weights: str = TASK_WEIGHTS,
    bootstrap: int = BOOTSTRAP,
    seed: int = SEED,
) -> "Alignment":
    """Alignment of several runs, checked to be comparable; or of costs by the name of their model.

    ``runs`` are directories of runs, or {name: what ``align`` takes}, of which nothing says how
    they were measured. Everything else is as in ``handan compare``.
    """
    trained = None
    if isinstance(runs, Mapping):
        table, notes = joined_costs(runs)
        models: dict[Path, list[str]] = {}
        refer = None if reference is None else str(reference)
    else:
        if isinstance(runs, str | Path):
            raise UserError(f"{runs}: is one run; give a list of them, or handan.align its costs")
        found = read_runs([Path(run) for run in runs], allow_different)
        table, notes, models, trained = found
        refer = reference_model(found, None if reference is None else str(reference))
    return _aligned(
        table,
        notes,
        models,
        trained,
        reference=refer,
        pairs=pairs,
        budget_tolerance=budget_tolerance,
        cost_rule=cost_rule,
        equivalence_bound=equivalence_bound,
        task_weights=task_weights,
        bootstrap=bootstrap,
        seed=seed,
    )


def evaluate(
    model: str | Path,
    suite: str | Path,
    output_dir: str | Path,
    *,
    arm: str | None = None,
    revision: str | None = None,
    engine: str | Path | None = None,
    reasoning_format: str = "auto",
    num_threads: int | None = None,
) -> "Alignment":
    """Evaluate a model on a suite into a run directory, as ``eval/run.py`` does; needs torch.

    Run again it completes what is missing. ``model`` is a directory or a name on the hub or a
    server, ``suite`` and ``engine`` are paths of YAMLs.
    """
    from handan.evaluation.evaluate import evaluate_model

    run_dir = Path(output_dir)
    result = evaluate_model(
        str(model), Path(suite), run_dir, arm, revision, engine, reasoning_format, num_threads
    )
    if result is None:
        raise UserError("under a launcher only eval/run.py evaluates; start this in one process")
    table = read_costs(run_dir / "costs.csv").table
    return Alignment(result, table, {run_dir: table.names("model")})


def _norms_folder(norms: Path | str | None) -> Path | None:
    from handan.norms import PACKAGED

    return PACKAGED if str(norms) == "packaged" else None if norms is None else Path(norms)


def _aligned(
    table: CostTable,
    notes: list[str],
    runs: Mapping[Path, Sequence[str]] | None = None,
    trained: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    reference: str | None,
    pairs: Source | None,
    cost_rule: str | None,
    budget_tolerance: float = TOLERANCE,
    participants: Mapping[str, Participants] | None = None,
    **settings: Any,
) -> "Alignment":
    """Compute; ``trained`` is run.json by model, to compare budgets."""
    if pairs is not None and reference is not None:
        raise UserError("pairs say what is compared, and so does reference; give one of them")
    before = table.numbers["reasoning_tokens"]
    if cost_rule is not None:
        table = with_cost_rule(table, cost_rule)
    recounted = (before != table.numbers["reasoning_tokens"]).any()
    comparisons = None if pairs is None else read_pairs(pairs, table.names("model"))
    times = {"participants": participants}
    given = {"reference": reference, "comparisons": comparisons, **times, **settings}
    result = alignment.align(table, **given)
    if trained is not None:
        paired = [(row["a"], row["b"]) for row in result["contrasts"]]
        result["budgets"] = compare_pairs(paired, trained, budget_tolerance)
    asked = {**settings, "reference": reference, "pairs": pairs, "cost_rule": cost_rule}
    asked["budget_tolerance"] = budget_tolerance
    result["notes"] = notes + _inert(asked, result, recounted) + result["notes"]
    return Alignment(result, table, runs or {}, participants)


def _inert(asked: Mapping[str, Any], result: Mapping[str, Any], recounted: bool) -> list[str]:
    """One sentence on each setting that changes nothing here."""
    contrasts, power, models = result["contrasts"], result["power"], result["models"].values()
    tasks = [task for model in models for task in model["tasks"].values()]
    without_interval = all(task["r_loglog_ci"] is None for task in tasks)
    undrawn = without_interval and all(model["cross_task_r"] is None for model in models)
    alone = not contrasts and not power
    one_task = all(len(model["mean_tasks"]) <= 1 for model in models)
    by_rule = f"all costs are by rule '{asked['cost_rule']}' already"
    no_pair = "no two models have a task in common that could be compared"
    options = [
        ("cost_rule", None, not recounted, by_rule),
        ("reference", None, not contrasts, no_pair),
        ("pairs", None, not contrasts, no_pair),
        ("equivalence_bound", EQUIVALENCE_BOUND, alone, "nothing is compared"),
        ("task_weights", TASK_WEIGHTS, one_task, "no mean is over two tasks"),
        ("budget_tolerance", TOLERANCE, not result.get("budgets"), "no budgets are compared"),
        ("bootstrap", BOOTSTRAP, without_interval, "no task has an interval"),
        ("seed", SEED, undrawn, "no task has an interval, and no item is drawn across tasks"),
    ]
    return [
        f"{name} changes nothing: {why}"
        for name, default, inert, why in options
        if inert and asked[name] is not default and asked[name] != default
    ]


@dataclass(frozen=True, eq=False, repr=False)
class Alignment:
    """What ``align``, ``compare`` or ``evaluate`` found; printed it is what the command prints."""

    result: Mapping[str, Any]  # alignment.json
    table: CostTable
    runs: Mapping[Path, Sequence[str]] = field(default_factory=dict)  # their models
    participants: Mapping[str, Participants] | None = None

    def __repr__(self) -> str:
        return alignment_text(self.result)

    def _repr_html_(self) -> str:
        said = [printable(of) for of in (*self.verdicts, *alignment_notes(self.result))]
        listed = "".join(f"<li>{escape(sentence)}</li>" for sentence in said)
        return "\n".join([*map(as_html, shown_tables(self.result)), f"<ul>{listed}</ul>"])

    @property
    def models(self) -> Mapping[str, Any]:
        """Measures of each model, by task and over tasks."""
        return dict(self.result["models"])

    @property
    def contrasts(self) -> list[dict[str, Any]]:
        """Differences of each pair of models."""
        return list(self.result["contrasts"])

    @property
    def verdicts(self) -> list[str]:
        """One sentence a contrast of two models, on the mean over human tasks or else analytic."""
        return verdicts(self.result)

    def to_dict(self) -> dict[str, Any]:
        """All measures, as in alignment.json (docs/files.md)."""
        return dict(self.result)

    def to_frame(self, table: str = "alignment") -> "pd.DataFrame":
        """A table as a data frame: 'alignment', 'contrasts', 'outcomes', 'checks', ...

        Intervals are columns '... low' and '... high'.
        """
        made = {of.name: of for of in tables(self.result)}
        if table not in made:
            raise UserError(f"no table '{table}'; there are: {', '.join(made)}")
        header, rows = flat(made[table])
        return data_frame(header, rows)

    def write_tables(self, folder: Path | str) -> None:
        """Write every table as CSV, Markdown and LaTeX."""
        write_tables(self.result, Path(folder))

    def plot(self, kind: str = "scatter", task: str | None = None) -> "Charts":
        """Charts as in a report, all of a kind or those of one task.

        Kinds: scatter, distributions, status, similarity; of pairs or related runs also slopes and
        inflation, of runs that were probed along training course.
        """
        from handan.report import plot_styles
        from handan.report.plots import KINDS

        if kind not in KINDS:
            raise UserError(f"no kind of chart '{kind}'; there are: {', '.join(KINDS)}")
        group = self._group()
        drawn = KINDS[kind].plots(group, plot_styles.looks(group.arms))
        if not drawn:
            raise UserError(f"no chart of kind '{kind}': {KINDS[kind].needs}")
        if task is not None and not (drawn := [of for of in drawn if of.task == task]):
            raise UserError(f"no chart of kind '{kind}' is of task '{task}'; leave it out")
        return Charts(tuple(drawn))

    def _group(self) -> "Group":
        from handan.report.comparison import Arm, Group, read_arm, relate

        if self.runs:
            arms = relate([read_arm(run_dir, models) for run_dir, models in self.runs.items()])
        else:
            roles = [(of["a"], of["b"], of["roles"]) for of in self.contrasts if of["roles"]]
            kinds = {name: kind for *pair, of in roles for name, kind in zip(pair, of, strict=True)}
            bases = {student: base for student, base, of in roles if of == ["student", "base"]}
            models = list(self.result["models"])
            arms = [
                Arm(
                    *(model, Path(), {}, {}),
                    greedy=cold if (cold := decoded_name(model, GREEDY)) in models else None,
                    base=bases.get(model),
                    kind=kinds.get(model, "model"),
                )
                for model in models
                if split_name(model)[0] == model or split_name(model)[0] not in models
            ]
        costs = final_costs(item_costs(self.table, self.participants))
        return Group(arms[0].run.get("comparability", {}), arms, costs, self.result)


@dataclass(frozen=True, eq=False, repr=False)
class Charts:
    """Charts with their numbers in words; a notebook shows them."""

    plots: tuple["Plot", ...]

    def __repr__(self) -> str:
        return "\n\n".join(f"{of.title}\n{of.caption}" for of in self.plots)

    def _repr_html_(self) -> str:
        from handan.report.plot_styles import svg

        figures = []
        for of in self.plots:
            # As an image of its own: ids and styles of several do not meet on one page.
            drawn = b64encode(svg(of.spec).encode()).decode()
            source = f"data:image/svg+xml;base64,{drawn}"
            image = f'<img style="zoom: 1.4" alt="{escape(of.title)}" src="{source}">'
            figures.append(f"<figure>{image}<figcaption>{escape(of.caption)}</figcaption></figure>")
        return "\n".join(figures)

    @property
    def specs(self) -> list[dict[str, Any]]:
        """Their Vega-Lite specifications."""
        from handan.report.plot_styles import CONFIG

        return [of.spec | {"config": CONFIG} for of in self.plots]

    def save(self, folder: Path | str, formats: Sequence[str] = ("png", "pdf")) -> None:
        """Write each chart as PNG and PDF."""
        from handan.report.plots import save

        save(self.plots, Path(folder), formats)
