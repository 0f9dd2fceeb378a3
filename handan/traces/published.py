"""Published trace sets: streamed, cut into parts, cleaned, decontaminated, graded, counted.

Every row that is read ends in exactly one place: kept, or dropped for one reason. The run directory
also gets ``prompts.jsonl``, the prompts of the kept traces, so that an arm trained by reinforcement
has the very same ones.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from handan import rundir
from handan.errors import UserError
from handan.launch import Processes
from handan.records import content_hash, file_hash, read_json, write_jsonl
from handan.tasks.math_pool import CPU_SECONDS, Pool
from handan.tasks.mathematics import MATH, judge
from handan.traces.contamination import contaminated
from handan.traces.duplicates import NearDuplicates, numbers_in
from handan.traces.layout import Parts, Unusable, read_column, read_row
from handan.traces.settings import PublishedSettings
from handan.traces.tally import Tally, write_traces

READERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}
REPORT_EVERY = 1_000


def import_traces(settings: PublishedSettings, world: Processes) -> None:
    """Make a run directory of a published set; the first process does, the others wait.

    Raises:
        UserError: the set cannot be read, a column is missing, or nothing is left to keep.
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
            kept = graded(cleaned(rows, settings, tally), settings, tally)
            traces = [trace_row(candidate, source) for candidate in kept]
            # Nothing is generated here; what the publishers spent is not known.
            write_traces(run_dir, traces, tally, graded_within_cpu_s=CPU_SECONDS)
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


def open_set(settings: PublishedSettings) -> tuple[str | None, Iterator[dict]]:
    """The commit that is read (None for a file), and the rows in their seeded order.

    Raises:
        UserError: there is no such file, set, subset or split, or the hub cannot be reached.
    """
    from datasets import load_dataset
    from huggingface_hub import HfApi

    path, revision = Path(settings.dataset), None
    try:
        if path.suffix in READERS:
            if not path.exists():
                raise UserError(f"{path}: no such file")
            rows = load_dataset(
                READERS[path.suffix], data_files=str(path), split="train", streaming=True
            )
        else:
            rows = load_dataset(
                settings.dataset,
                settings.subset,
                revision=settings.revision,
                split=settings.split,
                streaming=True,
            )
            # A branch moves; what is recorded is the commit it points to now.
            revision = HfApi().dataset_info(settings.dataset, revision=settings.revision).sha
    except (OSError, ValueError) as error:
        message = " ".join(str(error).split())
        raise UserError(f"{settings.dataset}: cannot be opened: {message}") from None
    if settings.shuffle_buffer:
        rows = rows.shuffle(seed=settings.seed, buffer_size=settings.shuffle_buffer)
    return revision, iter(rows if settings.limit is None else rows.take(settings.limit))


@dataclass
class Candidate:
    """A trace on its way, with its place among the traces of its prompt."""

    parts: Parts
    item: str
    sample: int
    outcome: str | None = field(default=None)


def cleaned(rows: Iterator[dict], settings: PublishedSettings, tally: Tally) -> Iterator[Candidate]:
    """The rows that are traces, of prompts that are nobody's evaluation item, without repeats."""
    prompts = NearDuplicates(settings.prompt_similarity)
    traces = NearDuplicates(settings.trace_similarity)
    seen: set[str] = set()
    samples: dict[str, int] = {}
    refused: dict[str, tuple[str, dict[str, Any]]] = {}
    for number, row in enumerate(rows, start=1):
        if number % REPORT_EVERY == 0:
            print(f"{settings.dataset}: {number} rows read", flush=True)
        where = {c: read_column(row, c, settings.dataset) for c in settings.where}
        if any(where[column] != [value] for column, value in settings.where.items()):
            tally.drop(MATH, "other_rows", None)
            continue
        try:
            parts = read_row(row, settings, settings.dataset)
        except Unusable as reason:
            tally.drop(MATH, str(reason), None, row=number)
            continue
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
        tally.outcomes[found or "no_reference"] += 1
        length = len(candidate.parts.reasoning)
        if settings.keep == "all" or found == "correct":
            tally.keep(MATH, length)
            kept.append(candidate)
        else:
            reason = {None: "no_reference", "timeout": "ungraded"}.get(found, found)
            given = candidate.parts.answer[-100:]
            reference = candidate.parts.reference
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
