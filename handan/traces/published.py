"""Published trace sets: streamed, cut into parts, cleaned, decontaminated, graded, counted.

Every trace of every row ends in exactly one place: kept, or dropped for one reason. The run
directory also gets ``prompts.jsonl``, the prompts of the kept traces, so that an arm trained by
reinforcement has the very same ones.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from handan import rundir
from handan.files import content_hash, file_hash, read_json, write_jsonl
from handan.launch import Processes
from handan.tasks.mathematics import CPU_SECONDS, MATH, Pool, judge
from handan.traces.contamination import NearDuplicates, contaminated, numbers_in
from handan.traces.filter_stats import Tally, write_traces
from handan.traces.rows import Parts, Unusable, as_row, check_columns, open_set, read_row
from handan.traces.settings import PublishedSettings

REPORT_EVERY = 1_000


def import_traces(settings: PublishedSettings, world: Processes) -> None:
    """Make a run directory of a published set; the first process does, the others wait.

    Raises:
        UserError: the set cannot be read, no row has a column, or nothing is left to keep.
    """
    run_dir = Path(settings.output_dir)
    config = asdict(settings)
    del config["output_dir"]
    with rundir.lock(run_dir, world.rank):
        if world.rank == 0 and not _finished(run_dir, config):
            revision, rows = open_set(settings)
            source = settings.dataset if revision is None else f"{settings.dataset}@{revision}"
            teacher = {"arm": settings.arm, "dataset": settings.dataset, "revision": revision}
            rundir.record(run_dir, "traces", config, arm=settings.arm, teacher=teacher)
            tally = Tally("reasoning_characters")
            kept = graded(cleaned(usable(rows, settings, tally), settings, tally), settings, tally)
            traces = [trace_row(candidate, source) for candidate in kept]
            left_out = Counter(role for one in kept for role in one.parts.left_out)
            # Nothing is generated here; what the publishers spent is not known.
            facts = {"graded_within_cpu_s": CPU_SECONDS, "messages_left_out": dict(left_out)}
            write_traces(run_dir, traces, tally, **facts)
            for role, number in left_out.items():
                print(f"{run_dir}: left out {number} messages of '{role}' in what is kept")
            columns = ("task", "item", "wording", "question", "answer")
            prompts = {trace["item"]: {c: trace[c] for c in columns} for trace in reversed(traces)}
            write_jsonl(run_dir / "prompts.jsonl", reversed(prompts.values()))
        world.gather([])


def _finished(run_dir: Path, config: dict) -> bool:
    """Whether the directory holds this very set already; streaming it again can take hours."""
    rundir.check_config(run_dir, "traces", config)
    path = run_dir / "traces.jsonl"
    if not path.exists() or not (run_dir / "prompts.jsonl").exists():
        return False
    same = read_json(run_dir / "run.json")["traces"].get("traces_sha256") == file_hash(path)
    if same:
        print(f"{path}: made already", flush=True)
    return same


@dataclass
class Candidate:
    """A trace on its way, with its place among the traces of its prompt."""

    parts: Parts
    item: str
    sample: int
    outcome: str | None = field(default=None)


def usable(rows: Iterator[Any], settings: PublishedSettings, tally: Tally) -> Iterator[Parts]:
    """The traces of the rows; what is none is counted under its reason.

    Raises:
        UserError: a column is missing in all rows, or in the first thousand.
    """
    columns: dict[str, None] = {}
    for number, content in enumerate(rows, start=1):
        try:
            row = as_row(content)
            columns |= dict.fromkeys(row)
            found: Iterable[Parts | Unusable] = read_row(row, settings)
        except Unusable as reason:
            found = [reason]
        for parts in found:
            if isinstance(parts, Unusable):
                tally.drop(MATH, parts.reason, None, row=number, found=parts.found)
            else:
                yield parts
        if number % REPORT_EVERY == 0:
            print(f"{settings.dataset}: {number} rows read", flush=True)
        if number == REPORT_EVERY:
            check_columns(columns, settings)
    check_columns(columns, settings)


def cleaned(
    traces_found: Iterator[Parts], settings: PublishedSettings, tally: Tally
) -> Iterator[Candidate]:
    """The traces of prompts that are nobody's evaluation item, without repeats."""
    prompts = NearDuplicates(settings.prompt_similarity)
    traces = NearDuplicates(settings.trace_similarity)
    seen: set[str] = set()
    samples: dict[str, int] = {}
    refused: dict[str, tuple[str, dict[str, Any]]] = {}
    for parts in traces_found:
        length = len(parts.reasoning)
        question = " ".join(parts.question.split())
        item = f"{MATH}-{content_hash(question)}"
        if item not in samples and item not in refused:
            found = contaminated(parts.question, settings.ngram)
            twin = None
            if found is None:
                twin = prompts.match(item, question, numbers_in(question))
            if found is not None:
                match = f"{found[1].task} {found[1].key}"
                refused[item] = (f"contaminated_{found[0]}", {"match": match})
            elif twin is not None:
                refused[item] = ("near_duplicate_prompt", {"match": twin})
            else:
                samples[item] = 0
        if item in refused:
            reason_of_prompt, example = refused[item]
            tally.drop(MATH, reason_of_prompt, length, question=question, **example)
            continue
        words = f"{parts.reasoning} {parts.answer}"
        identity = content_hash([item, " ".join(words.split()).casefold()])
        if identity in seen:
            tally.drop(MATH, "duplicate_trace", length, question=question)
        elif traces.match(identity, words, item) is not None:
            tally.drop(MATH, "near_duplicate_trace", length, question=question)
        else:
            seen.add(identity)
            yield Candidate(parts, item, samples[item])
            samples[item] += 1


def graded(
    candidates: Iterator[Candidate], settings: PublishedSettings, tally: Tally
) -> list[Candidate]:
    """The candidates that are kept; all of them are graded if there are references."""
    pool = Pool()

    def outcome(candidate: Candidate) -> str | None:
        parts = candidate.parts
        return judge(parts.reference, parts.answer, pool)[0] if parts.reference else None

    everyone = list(candidates)
    try:
        with ThreadPoolExecutor(pool.size) as threads:
            outcomes = list(threads.map(outcome, everyone))
    finally:
        pool.close()
    kept = []
    for candidate, found in zip(everyone, outcomes, strict=True):
        candidate.outcome = found
        without = candidate.parts.without_reference
        missing = without.reason if without else "no_reference"
        tally.outcomes[found or missing] += 1
        length = len(candidate.parts.reasoning)
        if settings.keep == "all" or found == "correct":
            tally.keep(MATH, length)
            kept.append(candidate)
        else:
            reason = {None: missing, "timeout": "ungraded"}.get(found, found)
            given = candidate.parts.answer[-100:]
            reference = without.found if without else candidate.parts.reference
            tally.drop(MATH, str(reason), length, answer=given, reference=reference)
    return kept


def trace_row(candidate: Candidate, source: str) -> dict:
    """One line of ``traces.jsonl``: text alone, since the ids were another tokenizer's."""
    parts = candidate.parts
    return {
        "task": MATH,
        "item": candidate.item,
        "sample": candidate.sample,
        "correct": {"correct": True, "timeout": None, None: None}.get(candidate.outcome, False),
        "reasoning_tokens": None,
        "reasoning_characters": len(parts.reasoning),
        "text": f"<think>\n{parts.reasoning}\n</think>\n\n{parts.answer}",
        "completion_ids": None,
        "wording": "natural",
        "question": parts.question,
        "answer": parts.reference or "",
        "source": source,
        "tokenizer": None,
        "reasoning_text": parts.reasoning,
        "answer_text": parts.answer,
    }
