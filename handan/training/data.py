"""Training prompts: where they come from, and the check that no evaluation item is among them."""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handan.config import load_yaml
from handan.errors import UserError
from handan.evaluation.contamination import OwnItems, contaminated
from handan.evaluation.grading import TaskItem
from handan.evaluation.suite import WORDINGS, Suite, load_task
from handan.files import read_jsonl
from handan.generation.formats import ReasoningFormat
from handan.generation.prompting import prompt_ids
from handan.inputs import at
from handan.tasks import TASKS, evaluation_items, fresh, own_task
from handan.tasks.base import Item
from handan.tiny.families import DECIMAL_DIGITS, PREMISES, problem_of_key, random_problem

COLUMNS = ("task", "item", "wording", "question", "answer")


@dataclass(frozen=True)
class ProblemSet:
    """Problems drawn anew from a seed, by shares of families."""

    families: dict[str, float]
    num_problems: int
    seed: int
    wording: str = "compact"
    widths: list[int] = field(default_factory=list)  # bits of binary operands
    digits: list[int] = field(default_factory=list)  # of natural products and differences
    hardest: float = 1.0  # share kept of each family, by analytic cost
    decimal_digits: list[int] = field(default_factory=lambda: list(DECIMAL_DIGITS))  # compact
    premises: list[int] = field(default_factory=lambda: list(PREMISES))  # natural: 3 or more


def load_prompts(path: Path, suites: Iterable[Suite] = ()) -> list[TaskItem]:
    """Load training prompts from a problem set or JSON lines, as ``check_held_out`` allows."""
    if path.suffix in (".yaml", ".yml"):
        settings = load_yaml(path, ProblemSet)
        with at(str(path)):
            rows = _draw(settings)
    else:
        rows = read_jsonl(path)
    if not rows:
        raise UserError(f"{path}: holds no prompts; add some, one JSON object a line")
    for number, row in enumerate(rows, start=1):
        place = f"{path}, line {number}"
        if missing := [column for column in COLUMNS if not isinstance(row.get(column), str)]:
            raise UserError(f"{place}: '{missing[0]}' is missing or not a text; add it")
        if row["wording"] not in WORDINGS:
            raise UserError(f"{place}: wording '{row['wording']}'; use {' or '.join(WORDINGS)}")
        with at(place):
            load_task(row["task"], row["wording"])
    check_held_out(rows, str(path), suites)
    return [question_from_row(row) for row in rows]


def question_from_row(row: dict) -> TaskItem:
    """Rebuild the question of one prompt or trace row."""
    item = Item(task=row["task"], key=row["item"], question=row["question"], answer=row["answer"])
    return TaskItem(item, load_task(row["task"], row["wording"]), row["wording"])


def prompt_rows(questions: Sequence[TaskItem], tokenizer: Any, form: ReasoningFormat) -> list[dict]:
    """Make the training set of an arm that draws its own completions."""
    return [
        {"prompt": form.messages(text), "prompt_ids": list(prompt_ids(tokenizer, text, form))}
        | {"task": question.item.task, "item": question.item.key, "question": text}
        | {"answer": question.item.answer, "wording": question.wording}
        for question in questions
        for text in [question.item.question]
    ]


def check_held_out(
    rows: Iterable[dict], place: str, suites: Iterable[Suite] = ()
) -> dict[str, int]:
    """Count rows for ``run.json``, none of them an evaluation item, however spaced or worded; tasks
    of one's own are those of ``suites``."""
    from handan.tiny.evaluation_items import held_out, identity_hash

    entries = [entry for suite in suites for entry in suite.tasks]
    own = OwnItems(entry.load() for entry in entries if own_task.is_own(entry.task))
    number, wordings = 0, set()
    for number, row in enumerate(rows, start=1):
        if row["wording"] == "compact":
            found = identity_hash(row["task"], row["item"]) in held_out()
        else:
            found = contaminated(row["question"]) is not None
            found = found or (row["task"] in TASKS and fresh.is_held_out(row["task"], row["item"]))
        if found or own.match(row["question"]):
            raise UserError(
                f"{place}, line {number}: '{row['item']}' of {row['task']} is an evaluation item; "
                "remove it from the training set"
            )
        wordings.add(row["wording"])
    compared = len(own.items) + (len(held_out()) if "compact" in wordings else 0)
    compared += len(evaluation_items()) if "natural" in wordings else 0
    return {"rows": number, "evaluation_items": compared, "found": 0}


def _draw(settings: ProblemSet) -> list[dict]:
    from handan.tiny.evaluation_items import held_out, identity_hash

    wording, hardest = settings.wording, settings.hardest
    problems = {
        f"wording '{wording}'; use {' or '.join(WORDINGS)}": wording not in WORDINGS,
        "families must name at least one family, each with a share above 0": (
            min(settings.families.values(), default=0) <= 0
        ),
        "num_problems must be at least 1": settings.num_problems < 1,
        "widths are numbers of bits, at least 1 each": min(settings.widths, default=1) < 1,
        f"hardest is {hardest}; it is a share above 0, at most 1": not 0 < hardest <= 1,
        "hardest needs an analytic cost, which only compact wording has; leave it out": (
            hardest < 1 and wording != "compact"
        ),
    }
    for sentence, applies in problems.items():
        if applies:
            raise UserError(sentence)
    # Rounded, because a share like 0.3 is no exact number and must not ask for one problem more.
    wanted = math.ceil(round(settings.num_problems / settings.hardest, 6))
    rng = random.Random(settings.seed)
    names, shares = zip(*settings.families.items(), strict=True)
    sizes = fresh.Sizes(settings.widths, settings.digits, settings.premises)
    rows: dict[tuple[str, str], dict] = {}
    for _ in range(100 * wanted):
        family = rng.choices(names, shares)[0]
        if wording == "natural":
            item = fresh.draw(family, rng, sizes)
            row = (item.task, item.key, "natural", item.question, item.answer)
        else:
            compact = (settings.widths, settings.decimal_digits, settings.premises)
            problem = random_problem(family, rng, *compact)
            if identity_hash(problem.family, problem.key) in held_out():
                continue
            question, answer = " ".join(problem.prompt), " ".join(problem.answer)
            row = (problem.family, problem.key, "compact", question, answer)
        rows.setdefault(row[:2], dict(zip(COLUMNS, row, strict=True)))
        if len(rows) == wanted:
            return _hardest(list(rows.values()), settings.num_problems)
    cure = "lower num_problems or add families or widths"
    raise UserError(f"only {len(rows)} different problems were found; {cure}")


def _hardest(rows: list[dict], number: int) -> list[dict]:
    """Keep ``number`` rows in order, of each family the same share, of the highest cost."""
    if number == len(rows):
        return rows
    families: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        families.setdefault(row["task"], []).append(index)
    exact = {family: number * len(of) / len(rows) for family, of in families.items()}
    quota = {family: math.floor(share) for family, share in exact.items()}
    by_remainder = sorted(exact, key=lambda family: quota[family] - exact[family])
    for family in by_remainder[: number - sum(quota.values())]:
        quota[family] += 1
    kept: list[int] = []
    for family, of in families.items():
        cost = {index: problem_of_key(family, rows[index]["item"]).analytic_cost for index in of}
        kept += sorted(of, key=lambda index: -cost[index])[: quota[family]]
    return [rows[index] for index in sorted(kept)]
