"""Training prompts: where they come from, and the check that no evaluation item is among them."""

import json
import math
import os
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handan.config import load_yaml, read_yaml
from handan.errors import UserError
from handan.evaluation.contamination import OwnItems, contaminated
from handan.evaluation.grading import TaskItem
from handan.evaluation.suite import WORDINGS, Suite, load_task
from handan.files import content_hash, file_hash
from handan.generation.formats import ReasoningFormat
from handan.generation.prompting import prompt_ids
from handan.inputs import at, json_lines, read_table, scalar, set_rows
from handan.tasks import TASKS, evaluation_items, fresh, own_task
from handan.tasks.base import Item
from handan.tasks.mathematics import HASHES, MATH, reference_answer
from handan.tiny.families import DECIMAL_DIGITS, PREMISES, problem_of_key, random_problem

COLUMNS = ("task", "item", "wording", "question", "answer")
YAML, FILES = (".yaml", ".yml"), (".jsonl", ".json", ".csv", ".parquet")
HELD_OUT = "'{item}' of {task} is an evaluation item; remove it from the training set"


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


@dataclass(frozen=True)
class PublishedPrompts:
    """Prompts of a published set, or of a file whose columns have other names."""

    dataset: str  # OWNER/NAME on the hub, a folder of data, or a .jsonl, .csv or .parquet file
    name: str | None = None  # configuration of the set
    split: str = "train"
    revision: str | None = None  # commit of a set on the hub
    columns: dict[str, str] = field(default_factory=dict)  # of ours, what the set calls it


@dataclass(frozen=True)
class Prompt(TaskItem):
    """A training prompt; ``columns`` are what its row has beside, for rewards of one's own."""

    columns: dict[str, Any]

    @property
    def row(self) -> dict[str, str]:
        """Its five columns in a file of prompts."""
        item = self.item
        texts = (item.task, item.key, self.wording, item.question, item.answer)
        return dict(zip(COLUMNS, texts, strict=True))


def load_prompts(path: Path, suites: Iterable[Suite] = ()) -> list[Prompt]:
    """Load training prompts (``docs/own-data.md``), as ``check_held_out`` allows.

    A row that is no prompt is refused in a file of one's own, counted in a published set.
    """
    published = published_prompts(path)
    rows: Iterable[tuple[str, dict]]
    if published:
        rows = _rows_of_set(published)
    elif own_task.is_own(str(path)):
        rows = _rows_of_task(path)
    elif path.suffix in YAML:
        settings = load_yaml(path, ProblemSet)
        with at(str(path)):
            rows = ((str(path), row) for row in _draw(settings))
    else:
        rows = read_table(path)[1] if path.suffix == ".csv" else json_lines(path)
    prompts: dict[tuple[str, str], Prompt] = {}
    refused: list[str] = []
    own, repeated = _own_items(suites), 0
    for place, row in rows:
        try:
            with at(place):
                prompt = _prompt(row)
                if _is_held_out(prompt.row, own):
                    raise UserError(HELD_OUT.format(**prompt.row))
                first = prompts.setdefault((prompt.item.task, prompt.item.key), prompt)
                if first.item != prompt.item:
                    raise UserError(f"'{first.item.key}' has another question or answer above")
                repeated += first is not prompt
        except UserError as error:
            if not published:
                raise
            refused.append(str(error))
    if not prompts:
        cure = refused[0] if refused else "holds no prompts; add some, one JSON object a line"
        raise UserError(f"{path}: {cure}")
    if (repeated or refused) and os.environ.get("RANK", "0") == "0":
        example = f", such as {refused[0]}" if refused else ""
        left_out = f"{repeated} that repeat one and {len(refused)} that are none{example}"
        print(f"{path}: {len(prompts)} prompts; left out {left_out}")
    return list(prompts.values())


def prompts_hash(path: Path) -> str:
    """Hash of the prompts in a file or in the folder of a task, which may hold others tomorrow."""
    return own_task.load(path).content or "" if own_task.is_own(str(path)) else file_hash(path)


def published_prompts(path: Path) -> PublishedPrompts | None:
    """Read what a YAML of prompts says of the set that they are from; None if it names none."""
    if path.suffix == ".parquet":
        return PublishedPrompts(str(path), columns={name: name for name in COLUMNS})
    if path.suffix not in YAML or "dataset" not in read_yaml(path):
        return None
    found = load_yaml(path, PublishedPrompts)
    place = Path(found.dataset)
    local = place.suffix in FILES or place.exists()
    if not local and not re.fullmatch("[0-9a-f]{40}", found.revision or ""):
        raise UserError(
            f"{path}: set 'revision' to a commit of {found.dataset}, all 40 digits; a branch moves"
        )
    return found


def _rows_of_set(of: PublishedPrompts) -> Iterator[tuple[str, dict]]:
    theirs = {"question": "question", "answer": "answer"} | of.columns
    for place, row in set_rows(of.dataset, of.name, of.split, of.revision):
        # What a set calls 'task' is none of ours, unless the YAML says so.
        others = {k: v for k, v in row.items() if k not in (*COLUMNS, *theirs.values())}
        yield place, {ours: row[name] for ours, name in theirs.items() if name in row} | others


def _rows_of_task(path: Path) -> Iterator[tuple[str, dict]]:
    for item in own_task.load(path).items():
        row = {"task": str(path), "item": item.key, "wording": "natural"}
        yield str(path), row | {"question": item.question, "answer": item.answer}


def _prompt(row: dict) -> Prompt:
    """Read a row; without a task it is mathematics, whose answer may end a solution."""
    texts = {column: scalar(row.get(column)) for column in COLUMNS}
    # An embedded problem is known by its item.
    needed = ("question", "answer") if texts["wording"] != "compact" else COLUMNS
    if missing := [f"'{name}'" for name in needed if texts[name] is None]:
        raise UserError(
            f"no {' and no '.join(missing)}, but {', '.join(map(str, row)) or 'nothing'}; rename "
            "columns, or map them in a YAML (docs/own-data.md, 'Your own prompts and reward')"
        )
    question, answer = str(texts["question"]), str(texts["answer"])
    wording, name = texts["wording"] or "natural", texts["task"] or MATH
    if wording not in WORDINGS:
        raise UserError(f"wording '{wording}'; use {' or '.join(WORDINGS)}")
    if texts["task"] is None:
        answer = reference_answer(answer) or ""
        if not answer:
            raise UserError(f"no answer can be read; give it alone, or after {HASHES} at the end")
    item = Item(name, texts["item"] or item_key(question), question, answer)
    others = {column: value for column, value in row.items() if column not in COLUMNS}
    return Prompt(item, load_task(name, wording), wording, others)


def item_key(question: str) -> str:
    """Name a question of mathematics by its words, in prompts as in published traces."""
    return f"{MATH}-{content_hash(' '.join(question.split()))}"


def question_from_row(row: dict) -> TaskItem:
    """Rebuild the question of one prompt or trace row."""
    item = Item(task=row["task"], key=row["item"], question=row["question"], answer=row["answer"])
    return TaskItem(item, load_task(row["task"], row["wording"]), row["wording"])


def prompt_rows(questions: Sequence[Prompt], tokenizer: Any, form: ReasoningFormat) -> list[dict]:
    """Make the training set of an arm that draws its own completions."""
    # As text, since their types may differ from row to row.
    more = any(prompt.columns for prompt in questions)
    return [
        {"prompt": form.messages(text), "prompt_ids": list(prompt_ids(tokenizer, text, form))}
        | prompt.row
        | ({"columns": json.dumps(prompt.columns, default=str)} if more else {})
        for prompt in questions
        for text in [prompt.item.question]
    ]


def check_held_out(
    rows: Iterable[dict], place: str, suites: Iterable[Suite] = ()
) -> dict[str, int]:
    """Count rows for ``run.json``, none of them an evaluation item, however spaced or worded; tasks
    of one's own are those of ``suites``."""
    from handan.tiny.evaluation_items import held_out

    own, number, wordings = _own_items(suites), 0, set()
    for number, row in enumerate(rows, start=1):
        if _is_held_out(row, own):
            raise UserError(f"{place}, line {number}: {HELD_OUT.format(**row)}")
        wordings.add(row["wording"])
    compared = len(own.items) + (len(held_out()) if "compact" in wordings else 0)
    compared += len(evaluation_items()) if "natural" in wordings else 0
    return {"rows": number, "evaluation_items": compared, "found": 0}


def _own_items(suites: Iterable[Suite]) -> OwnItems:
    entries = [entry for suite in suites for entry in suite.tasks]
    return OwnItems(entry.load() for entry in entries if own_task.is_own(entry.task))


def _is_held_out(row: dict, own: OwnItems) -> bool:
    from handan.tiny.evaluation_items import held_out, identity_hash

    if row["wording"] == "compact":
        found = identity_hash(row["task"], row["item"]) in held_out()
    else:
        found = contaminated(row["question"]) is not None
        found = found or (row["task"] in TASKS and fresh.is_held_out(row["task"], row["item"]))
    return found or own.match(row["question"]) is not None


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
