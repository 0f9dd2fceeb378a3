"""Drawing responses and keeping them: graded, counted, on disk batch by batch."""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handan import rundir
from handan.errors import UserError
from handan.evaluation.grading import TaskItem, read_completion, read_text
from handan.files import append_jsonl, content_hash
from handan.generation import prompting
from handan.generation.chat import ended
from handan.generation.engines import Drawn, Engine
from handan.generation.formats import ReasoningFormat
from handan.generation.openai_engine import Watch
from handan.generation.prompting import Decoding, Request
from handan.launch import Processes

# Identifies a response in a file, all of which answer the prompts of one plan (check_prompts).
KEY = ("settings", "task", "item", "sample")


@dataclass(frozen=True)
class SamplingPlan:
    """The responses to draw: questions, and the decoding of each sample number."""

    questions: Sequence[TaskItem]
    decodings: Mapping[int, Decoding]
    batch_size: int
    seed: int

    def requests(self, tokenizer: Any, form: ReasoningFormat) -> list[Request]:
        """Every request, whatever is done already; ``tokenizer`` is None if it is not known."""
        asked = [entry.item.question for entry in self.questions]
        prompts: list[tuple[int, ...]] = [() for _ in asked]
        if tokenizer is not None:
            prompts = [prompting.prompt_ids(tokenizer, question, form) for question in asked]
        return [
            Request(index, sample, asked[index], prompt, decoding)
            for index, prompt in enumerate(prompts)
            for sample, decoding in self.decodings.items()
        ]

    def batches(self, engine: Engine) -> list[list[Request]]:
        """Every request, cut into batches once."""
        return prompting.batches(self.requests(engine.tokenizer, engine.form), self.batch_size)

    def prompt_hash(self, request: Request, form: ReasoningFormat) -> str:
        """Hash of the prompt as the model sees it and of the answer that is right."""
        return content_hash([request.asked(form), self.questions[request.item].item.answer])


def check_prompts(
    path: Path, rows: list[dict], plan: SamplingPlan, due: Iterable[Request], form: ReasoningFormat
) -> None:
    """Stop if rows answer other prompts, under the same keys, than the plan has."""
    now = {}
    for index, request in {request.item: request for request in due}.items():
        item = plan.questions[index].item
        now[item.task, item.key] = plan.prompt_hash(request, form)
    for row in rows:
        if "prompt_hash" not in row:
            raise UserError(
                f"{path}: an older version, which recorded no hash of the prompt, began this file; "
                "go on with the version that run.json names or choose another --output_dir"
            )
        if row["prompt_hash"] != now.get((row["task"], row["item"])):
            raise UserError(
                f"{path}: answers {row['task']}, {row['item']} as it is not asked now: its text, "
                "its answer or the chat template has changed; choose another --output_dir or move "
                "the file away"
            )


def draw(
    engine: Engine, plan: SamplingPlan, batches: Sequence[list[Request]], labels: dict
) -> Iterator[list[dict]]:
    """Generate; yields rows as they are finished, all of them before a failure is raised."""
    watch = Watch(engine) if engine.remote else None
    failures: list[str] = []
    try:
        started = time.monotonic()
        # Nothing is begun after a failure, and what is under way is received.
        due = itertools.takewhile(lambda _: not failures, batches)
        for drawn in engine.stream(due, plan.seed):
            seconds = (time.monotonic() - started) / len(drawn)
            rows, failed = _read(engine, plan, drawn, seconds, labels, watch)
            if watch is not None:
                watch.check()
            yield rows
            failures += failed
            started = time.monotonic()
    finally:
        if watch is not None:
            watch.tell_unknown()
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise UserError(f"{failures[0]}{more}; what was received is kept: run again to go on")


def _read(
    engine: Engine,
    plan: SamplingPlan,
    drawn: Sequence[Drawn],
    seconds: float,
    labels: dict,
    watch: Watch | None,
) -> tuple[list[dict], list[str]]:
    """Rows of what was drawn in ``seconds`` each, and a sentence for each that is none."""
    tokenizer, form = engine.tokenizer, engine.form
    rows: list[dict] = []
    failures = []
    for request, found in drawn:
        question = plan.questions[request.item]
        task, item, asked = question.item.task, question.item.key, (tokenizer, question, form)
        try:
            if isinstance(found, UserError):
                raise found
            if watch is not None:
                watch.check_cap(request, found)
            prompt, ids = found.prompt_ids or request.prompt_ids, found.ids
            if ids is None or tokenizer is None:
                read = read_text(*asked, prompt, found)
            else:
                read = read_completion(*asked, prompt, ids, engine.ends, found.ended)
                read["text"] = tokenizer.decode(ids)
        except UserError as error:
            failures.append(f"{task}, {item}, sample {request.sample}: {error}")
            continue
        row = {**labels, "task": task, "item": item, "sample": request.sample}
        row["prompt_hash"] = plan.prompt_hash(request, form)
        row |= {"temperature": request.decoding.temperature, **read, **found.server}
        row |= {"device_seconds": round(seconds, 4), "completion_ids": ids}
        rows.append(row)
        if watch is not None:
            watch.count(request, found, row)
    return rows, failures


def collect(engine: Engine, plan: SamplingPlan, path: Path, labels: dict, world: Processes) -> None:
    """Complete a file of responses: what it holds already is kept, what is missing is drawn.

    Every process draws its share, of several each into a file of its own, and waits for the others
    only at the end; neither a restart nor the number of processes changes a sample. Of the
    ``labels`` ``settings`` identifies model, engine and plan.
    """
    done = world.gather(_joined(path) if world.rank == 0 else [])
    if any(row["settings"] != labels["settings"] for row in done):
        raise UserError(
            f"{path}: holds responses of another model, or drawn with other settings; "
            "choose another --output_dir or move the file away"
        )
    have = {(row["task"], row["item"], row["sample"]) for row in done}

    def missing(request: Request) -> bool:
        item = plan.questions[request.item].item
        return (item.task, item.key, request.sample) not in have

    batches = plan.batches(engine)
    check_prompts(path, done, plan, itertools.chain(*batches), engine.form)
    todo = [batch for batch in batches if any(map(missing, batch))]
    if engine.independent:
        todo = [list(filter(missing, batch)) for batch in todo]
    mine = todo[world.rank :: world.size]
    prompt_tokens = {(row["task"], row["item"]): row["prompt_tokens"] for row in done}
    own, share = (path, "") if world.size == 1 else (_part(path, world.rank), ", of its share")
    finished, started = len(have) if world.size == 1 else 0, time.monotonic()
    total = finished + sum(map(missing, itertools.chain(*mine)))
    untold: list[dict] = []
    for drawn in draw(engine, plan, mine, labels):
        rows = [row for row in drawn if (row["task"], row["item"], row["sample"]) not in have]
        if rows:
            append_jsonl(own, rows)
        finished += len(rows)
        untold += rows
        if len(untold) < plan.batch_size and finished < total:
            continue
        if world.rank == 0:
            seconds = time.monotonic() - started
            print(f"{labels['model']}: {finished}/{total} responses, {seconds:.0f} s{share}")
        _tell_early_cuts(untold, plan)
        if engine.remote:
            _tell_changed_prompts(untold, prompt_tokens)
        untold = []
    world.gather([])  # until every process has drawn its share
    if world.rank == 0:
        _joined(path)


def _part(path: Path, rank: int) -> Path:
    return path.with_suffix(f".{rank}{path.suffix}")


def _joined(path: Path) -> list[dict]:
    """Rows of a file of responses, after those of the files of several processes have joined it."""
    rows = rundir.recover(path, KEY)
    have = {tuple(row[name] for name in KEY) for row in rows}
    for part in sorted(path.parent.glob(f"{path.stem}.*{path.suffix}")):
        # Of a part that was joined before a kill nothing is new.
        new = [row for row in rundir.recover(part, KEY) if tuple(row[k] for k in KEY) not in have]
        append_jsonl(path, new)
        part.unlink()
        rows += new
    return rows


def _tell_early_cuts(rows: Sequence[dict], plan: SamplingPlan) -> None:
    """Print if responses were cut before the cap, because the model's context was full."""
    early = [
        row["generated_tokens"]
        for row in rows
        if row["status"] == "truncated"
        and ended(row.get("finish_reason", "length")) is False  # and not of an open span alone
        and row["generated_tokens"] < plan.decodings[row["sample"]].max_new_tokens
    ]
    if early:
        cap = max(decoding.max_new_tokens for decoding in plan.decodings.values())
        print(
            f"note: {len(early)} of {len(rows)} responses were cut at {min(early)} tokens or "
            f"later, before the cap of {cap}: the context of the model or its engine is full. They "
            "count as truncated; compare with models cut at the same length"
        )


def _tell_changed_prompts(rows: Sequence[dict], before: dict[tuple[str, str], int]) -> None:
    """Print if a server now renders the same messages as another prompt; updates ``before``."""
    changed = ""
    for row in rows:
        key, tokens = (row["task"], row["item"]), row["prompt_tokens"]
        if not changed and before.get(key, tokens) != tokens:
            changed = f"{', '.join(key)} has {tokens} tokens and had {before[key]}"
        before[key] = tokens
    if changed:
        print(
            f"note: the server's prompt of {changed}: its chat template, or the model behind it, "
            "has changed between responses; compare them with care"
        )
