"""Options of ``handan align`` and ``handan compare`` that could not change anything: said, each."""

import argparse
from collections.abc import Mapping

from handan.budgets import TOLERANCE
from handan.errors import UserError
from handan.options import BOOTSTRAP, EQUIVALENCE_BOUND, SEED, TASK_WEIGHTS


def refuse_inert(arguments: argparse.Namespace) -> None:
    """Stop where one option decides what another one is to decide, or an input would be lost.

    Raises:
        UserError: names both.
    """
    if arguments.pairs and arguments.reference:
        raise UserError("--pairs says what is compared, and so does --reference; give one of them")
    of_align = [getattr(arguments, name, None) for name in ("costs", "norms", "trials")]
    if of_align[1] is not None and of_align[2] is not None:
        raise UserError("--trials give times and reliability, and so do --norms; give one of them")
    inputs = [path for path in (*of_align, arguments.pairs) if path is not None]
    for output in (arguments.output, arguments.tables):
        if output is not None and output.resolve() in [path.resolve() for path in inputs]:
            raise UserError(f"{output}: is one of the inputs; write elsewhere")


def inert(arguments: argparse.Namespace, result: Mapping, recounted: bool) -> list[str]:
    """One sentence for each option that is given and changed nothing of a result.

    Args:
        arguments: of the command.
        result: of ``handan.alignment.measure.align``, with 'budgets' of ``handan compare``.
        recounted: whether ``--cost_rule`` changed a cost.
    """
    found = []
    contrasts, power = result["contrasts"], result["power"]
    if arguments.cost_rule is not None and not recounted:
        found.append(("cost_rule", f"all costs are by rule '{arguments.cost_rule}' already"))
    for name in ("reference", "pairs"):
        if getattr(arguments, name) is not None and not contrasts:
            found.append((name, "no two models have a task in common that could be compared"))
    if arguments.power and not power:
        found.append(("power", "it is of tasks with human times, and there is none"))
    if arguments.equivalence_bound != EQUIVALENCE_BOUND and not contrasts and not power:
        found.append(("equivalence_bound", "nothing is compared"))
    if arguments.task_weights != TASK_WEIGHTS[0] and not any(
        len(model["mean_tasks"]) > 1 for model in result["models"].values()
    ):
        found.append(("task_weights", "no mean is over two tasks"))
    if getattr(arguments, "budget_tolerance", TOLERANCE) != TOLERANCE and not result["budgets"]:
        found.append(("budget_tolerance", "no budgets are compared"))
    tasks = [task for model in result["models"].values() for task in model["tasks"].values()]
    if all(task["r_loglog_ci"] is None for task in tasks):
        if arguments.bootstrap != BOOTSTRAP:
            found.append(("bootstrap", "no task has an interval"))
        drawn = [model["cross_task_r"] for model in result["models"].values()]
        if arguments.seed != SEED and drawn.count(None) == len(drawn):
            found.append(("seed", "no task has an interval, and no item is drawn across tasks"))
    return [f"--{name} changes nothing: {why}" for name, why in found]
