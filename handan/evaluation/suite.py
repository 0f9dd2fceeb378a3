"""Suites: the items put to a model, their wording, and how responses are decoded."""

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handan import norms, tasks
from handan.alignment.correlation import MIN_ITEMS
from handan.config import load_yaml
from handan.errors import UserError
from handan.evaluation.grading import TaskItem
from handan.files import content_hash
from handan.generation.prompting import Decoding
from handan.inputs import at
from handan.rundir import Asked, read_asked
from handan.tasks import own_task
from handan.tasks.base import Task

WORDINGS = ("natural", "compact")


@dataclass(frozen=True)
class SuiteTask:
    """One task of a suite."""

    task: str  # its name, or the folder of a task of one's own (``handan.tasks.own_task``)
    wording: str = "natural"  # for real models; ``compact`` for the embedded world
    norms: str | None = None  # source of the human times or a table of them; null: the items' own
    format: str | None = None  # whose noise-free length is the oracle; embedded world only

    def load(self) -> Task:
        """Load the task in this wording."""
        return load_task(self.task, self.wording)

    def human_times(self) -> dict[str, tuple[float, float | None]]:
        """Geometric and arithmetic mean times in seconds by item; {} without human data."""
        task = self.load()
        if self.norms:
            table = norms.load(task.name, self.norms).items
            return {key: (math.exp(of.mean_log_rt), of.mean_rt_s) for key, of in table.items()}
        given = {
            item.key: [item.covariates.get(name) for name in own_task.HUMAN]
            for item in task.items()
        }
        return {key: (time, mean) for key, (time, mean) in given.items() if time is not None}


@dataclass(frozen=True)
class Suite:
    """A suite; every field is set in its YAML."""

    name: str
    version: int  # raised whenever scores would change
    tasks: list[SuiteTask]
    items_per_task: int | None  # size of the ``stratified`` part of each task; null for all
    samples: int  # sampled responses to each item
    greedy: bool  # whether one more response at temperature 0 is drawn, a model of its own
    temperature: float
    top_p: float
    max_new_tokens: int  # the cap on a response
    batch_size: int  # requests generated together; part of the reproducible state
    cost_without_span: str  # what an item costs a model without a span: ``response`` or ``none``
    seed: int  # of the samples and of the subset

    @property
    def settings(self) -> dict[str, Any]:
        """The suite as runs record it: a task of one's own by its content, wherever it lies."""
        content = asdict(self)
        for entry, recorded in zip(self.tasks, content["tasks"], strict=True):
            if own_task.is_own(entry.task):
                task = entry.load()
                recorded |= {"task": task.name, "content": task.content}
        return content

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides the results."""
        return content_hash(self.settings)

    def decodings(self) -> dict[int, Decoding]:
        """Decoding of each sample number; the greedy one is number -1."""
        sampled = Decoding(self.temperature, self.top_p, self.max_new_tokens)
        greedy = {-1: Decoding(0.0, 1.0, self.max_new_tokens)} if self.greedy else {}
        return greedy | dict.fromkeys(range(self.samples), sampled)


@dataclass(frozen=True)
class SuiteItem(TaskItem):
    """An item with what its cost is compared to: human RT or an analytic cost."""

    norms: str | None
    human_rt_s: float | None  # geometric mean over correct trials: its log is the mean log RT
    human_mean_rt_s: float | None  # arithmetic mean
    analytic_cost: float | None
    oracle_tokens: float | None


def load_suite(path: Path) -> Suite:
    """Read and check a suite."""
    suite = load_yaml(path, Suite)
    if suite.samples < 1 or suite.max_new_tokens < 1 or suite.batch_size < 1:
        raise UserError(f"{path}: samples, max_new_tokens and batch_size must be at least 1")
    if suite.items_per_task is not None and suite.items_per_task < 1:
        raise UserError(f"{path}: items_per_task must be at least 1, or null for all items")
    if suite.temperature <= 0:
        raise UserError(f"{path}: temperature must be above 0; for greedy decoding set 'greedy'")
    if not 0 < suite.top_p <= 1:
        raise UserError(f"{path}: top_p must be above 0 and at most 1")
    for entry in suite.tasks:
        if entry.norms and entry.norms.endswith(".csv") and not Path(entry.norms).is_file():
            cure = "name a table that 'handan norms compute' wrote"
            raise UserError(f"{path}: norms of {entry.task} is {entry.norms}: no such file; {cure}")
    chosen = [("cost_without_span", suite.cost_without_span, ("response", "none"))]
    chosen += [(f"wording of {entry.task}", entry.wording, WORDINGS) for entry in suite.tasks]
    for what, value, known in chosen:
        if value not in known:
            raise UserError(f"{path}: {what} is '{value}'; use {' or '.join(known)}")
    with at(str(path)):
        names = [entry.load().name for entry in suite.tasks]
    if not names or len(set(names)) < len(names):
        raise UserError(f"{path}: 'tasks' must name at least one task, and each only once")
    return suite


def load_task(name: str, wording: str) -> Task:
    """Load a task by name in one of its wordings, or one of one's own by its folder."""
    if wording == "natural":
        return own_task.load(Path(name)) if own_task.is_own(name) else tasks.load(name)
    from handan.tiny.evaluation_items import TASKS

    if name not in TASKS:
        raise UserError(f"no compact wording of task '{name}'; there is one of: {', '.join(TASKS)}")
    return TASKS[name]


def suite_items(suite: Suite) -> list[SuiteItem]:
    """All items of a suite in a fixed order, with human response times where there are any."""
    out = []
    for entry in suite.tasks:
        task, times = entry.load(), entry.human_times()
        items, oracle = list(task.items()), f"oracle_tokens_{entry.format}"
        if not times and any("analytic_cost" not in item.covariates for item in items):
            column = " or fill in human_rt_s in its items.csv" if task.content else ""
            raise UserError(
                f"{entry.task}: set 'norms' in the suite{column}; in {entry.wording} wording it "
                "has no analytic cost that could be compared instead"
            )
        if entry.format and any(oracle not in item.covariates for item in items):
            raise UserError(
                f"{entry.task}: no trace format '{entry.format}' in {entry.wording} wording; "
                "correct 'format' in the suite, or set it to null"
            )
        if times and not any(item.key in times for item in items):
            raise UserError(
                f"{entry.task}: norms '{entry.norms}' have none of its items, such as "
                f"'{items[0].key}'; set 'norms' in the suite to a source of this task"
            )
        found = [
            SuiteItem(
                item=item,
                task=task,
                wording=entry.wording,
                norms=entry.norms,
                human_rt_s=times[item.key][0] if times else None,
                human_mean_rt_s=times[item.key][1] if times else None,
                analytic_cost=None if times else item.covariates["analytic_cost"],
                oracle_tokens=item.covariates[oracle] if entry.format else None,
            )
            for item in items
            if not times or item.key in times
        ]
        if suite.items_per_task and suite.items_per_task < len(found):
            found = stratified(found, suite.items_per_task, f"{suite.seed} {task.name}")
        out += found
    return out


def coverage_notes(suite: Suite) -> list[str]:
    """One sentence a task of which fewer items are asked than there are, are wanted or r needs."""
    notes = []
    for entry in suite.tasks:
        task, times = entry.load(), entry.human_times()
        items = list(task.items())
        missing = [item.key for item in items if times and item.key not in times]
        if missing:
            what = f"no norm of {entry.norms}" if entry.norms else f"no {own_task.HUMAN[0]}"
            notes.append(
                f"task '{task.name}': {len(missing)} of {len(items)} items have {what} and are "
                f"not asked, such as '{missing[0]}'"
            )
        there = len(items) - len(missing)
        if suite.items_per_task and suite.items_per_task > there:
            notes.append(
                f"task '{task.name}': all its {there} items are asked, as items_per_task is "
                f"{suite.items_per_task}"
            )
        if (asked := min(suite.items_per_task or there, there)) < MIN_ITEMS:
            notes.append(f"task '{task.name}': {asked} items; a correlation needs {MIN_ITEMS}")
    return notes


def asked_by(items: Sequence[SuiteItem]) -> Asked:
    """Question and right answer of each item, as ``read_asked`` finds them in a run."""
    return {(e.item.task, e.item.key): (e.item.question, e.item.answer) for e in items}


def asked_otherwise(run_dir: Path, now: Asked) -> str | None:
    """Name an item that an evaluation asked in another text than ``asked_by`` says now."""
    before = read_asked(run_dir)
    changed = [key for key in (*before, *now) if before and before.get(key) != now.get(key)]
    return ", ".join(changed[0]) if changed else None


def stratified(items: Sequence[SuiteItem], number: int, seed: str) -> list[SuiteItem]:
    """Choose ``number`` of one task's items, one from each stratum of human RT or analytic cost, in
    their order; sizes of strata differ by at most one."""

    def difficulty(index: int) -> tuple[float, str]:
        entry = items[index]
        cost = entry.analytic_cost if entry.human_rt_s is None else entry.human_rt_s
        return cost or 0.0, entry.item.key

    order = sorted(range(len(items)), key=difficulty)
    edges = [len(order) * stratum // number for stratum in range(number + 1)]
    draw = random.Random(seed)
    chosen = [draw.choice(order[low:high]) for low, high in itertools.pairwise(edges)]
    return [items[index] for index in sorted(chosen)]
