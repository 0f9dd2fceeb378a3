"""Which models are compared, in which roles, and on which items."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from handan.alignment.data.cost_table import GREEDY_SUFFIX
from handan.alignment.data.item_costs import TaskCosts
from handan.csv_input import read_table
from handan.errors import UserError

CostsByModel = Mapping[str, Mapping[str, TaskCosts]]
Pairs = list[tuple[str, str]]
SharedTasks = dict[tuple[str, str], dict[str, tuple[TaskCosts, TaskCosts]]]

MOST_MODELS_FOR_ALL_PAIRS = 6


class Comparisons(NamedTuple):
    """Pairs of models by what is asked of them.

    Attributes:
        contrasts: (a, b), whose correlations are compared.
        inflation: (student, base), whose lengths are regressed.
        effort: (model, teacher), whose distributions of length are compared.
        roles: of both models of a contrast, where they are known.
    """

    contrasts: Pairs
    inflation: Pairs
    effort: Pairs
    roles: Mapping[tuple[str, str], tuple[str, str]]


def compared_with(models: Sequence[str], reference: str | None) -> Comparisons:
    """Every model with the reference; without one only contrasts, of all pairs of few models."""
    pairs = choose_pairs(models, reference)
    with_reference = pairs if reference else []
    return Comparisons(pairs, with_reference, with_reference, {})


def read_pairs(path: Path, models: Sequence[str]) -> Comparisons:
    """Comparisons of students with their bases and teachers, from a CSV with these columns.

    One row a student; ``base`` or ``teacher`` may be empty. A student is contrasted with its
    teacher ('collapse' if it is lower) and its base ('negative transfer'), its teacher with the
    base; its lengths are regressed on those of the base and compared with the teacher's.

    Raises:
        UserError: the file cannot be read, or a row is wrong or names an unknown model.
    """
    roles: dict[tuple[str, str], tuple[str, str]] = {}
    inflation: dict[tuple[str, str], None] = {}
    effort: dict[tuple[str, str], None] = {}
    header, rows = read_table(path)
    if "student" not in header or not {"base", "teacher"} & set(header):
        raise UserError(f"{path}: needs the columns student and base, teacher or both")
    for place, row in rows:
        student, base, teacher = (row.get(name, "") for name in ("student", "base", "teacher"))
        for name in (student, base, teacher):
            if name and name not in models:
                raise UserError(f"{place}: no model '{name}'; there are: {', '.join(models)}")
        if not student or not (base or teacher) or student in (base, teacher):
            raise UserError(
                f"{place}: name a student and another model as its base, its teacher or both"
            )
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

    Greedy models are paired with greedy ones if the reference has a greedy twin, so that a contrast
    is one of models and not of decodings.
    """
    if reference is None:
        few = len(models) <= MOST_MODELS_FOR_ALL_PAIRS
        return [pair for pair in combinations(models, 2) if decoded_alike(*pair)] if few else []
    twin = reference.removesuffix(GREEDY_SUFFIX)
    twins = {False: twin, True: twin + GREEDY_SUFFIX}
    if not set(twins.values()) <= set(models):
        return [(model, reference) for model in models if model != reference]
    pairs = [(model, twins[model.endswith(GREEDY_SUFFIX)]) for model in models]
    return [(model, other) for model, other in pairs if model != other]


def decoded_alike(a: str, b: str) -> bool:
    """Whether both models are greedy, or neither is."""
    return a.endswith(GREEDY_SUFFIX) == b.endswith(GREEDY_SUFFIX)


def shared_tasks(costs: CostsByModel, pairs: Sequence[tuple[str, str]]) -> SharedTasks:
    """For each pair and task of both: the costs of both on the items where both have a log cost.

    Raises:
        UserError: a pair names a model that is not there.
    """
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
