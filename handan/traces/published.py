"""Published trace sets: streamed, cut into parts, cleaned, decontaminated, graded, counted.

``prompts.jsonl`` holds the prompts of the kept traces, for an arm trained by reinforcement.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from handan import rundir
from handan.evaluation.contamination import NearDuplicates, contaminated, numbers_in
from handan.files import content_hash, file_hash, read_json, write_jsonl
from handan.launch import Processes
from handan.tasks.mathematics import CPU_SECONDS, MATH, NUM_WORKERS, Pool, judge
from handan.traces.filter_stats import Tally, write_traces
from handan.traces.rows import Parts, Unusable, as_row, check_columns, open_set, read_row
from handan.traces.trace_settings import PublishedSettings
from handan.training.data import COLUMNS, item_key

REPORT_EVERY = 1_000


def import_traces(settings: PublishedSettings, world: Processes) -> None:
    """Make a run directory of a published set; the first process does, the others wait."""
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
            first = {trace["item"]: trace for trace in reversed(traces)}
            prompts = [{name: one[name] for name in COLUMNS} for one in first.values()]
            write_jsonl(run_dir / "prompts.jsonl", reversed(prompts))
        world.gather([])


def _finished(run_dir: Path, config: dict) -> bool:
    """Tell whether the directory holds this set already; streaming it again can take hours."""
    rundir.check_config(run_dir, "traces", config)
    path = run_dir / "traces.jsonl"
    if not path.exists() or not (run_dir / "prompts.jsonl").exists():
        return False
    same = read_json(run_dir / "run.json")["traces"].get("traces_sha256") == file_hash(path)
    if same:
        print(f"{path}: made already")
    return same


class Candidate(NamedTuple):
    """A trace on its way, with its place among the traces of its prompt."""

    parts: Parts
    item: str
    sample: int
    outcome: str | None = None


def usable(rows: Iterator[Any], settings: PublishedSettings, tally: Tally) -> Iterator[Parts]:
    """Read the traces of the rows; what is none is counted under its reason."""
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
            print(f"{settings.dataset}: {number} rows read")
        if number == REPORT_EVERY:
            check_columns(columns, settings)
    check_columns(columns, settings)


def cleaned(
    traces_found: Iterator[Parts], settings: PublishedSettings, tally: Tally
) -> Iterator[Candidate]:
    """Leave out prompts that are an evaluation item, prompts that repeat, and repeated traces."""
    prompts = NearDuplicates(settings.prompt_similarity)
    traces = NearDuplicates(settings.trace_similarity)
    seen: set[str] = set()
    samples: dict[str, int] = {}
    refused: dict[str, tuple[str, str]] = {}  # reason, and what the prompt matches
    for parts in traces_found:
        length = len(parts.reasoning)
        question = " ".join(parts.question.split())
        item = item_key(question)
        if item not in samples and item not in refused:
            if found := contaminated(parts.question, settings.ngram):
                refused[item] = f"contaminated_{found[0]}", f"{found[1].task} {found[1].key}"
            elif near := prompts.match(item, question, numbers_in(question)):
                refused[item] = "near_duplicate_prompt", near
            else:
                samples[item] = 0
        if item in refused:
            reason, match = refused[item]
            tally.drop(MATH, reason, length, question=question, match=match)
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
    """Grade the candidates that have a reference, and keep those that may be."""

    def outcome(candidate: Candidate) -> str | None:
        parts = candidate.parts
        return judge(parts.reference, parts.answer, pool)[0] if parts.reference else None

    everyone = list(candidates)
    with closing(Pool()) as pool, ThreadPoolExecutor(NUM_WORKERS) as threads:
        outcomes = list(threads.map(outcome, everyone))
    kept = []
    for candidate, found in zip(everyone, outcomes, strict=True):
        parts, without = candidate.parts, candidate.parts.without_reference
        missing = without.reason if without else "no_reference"
        tally.outcomes[found or missing] += 1
        if settings.keep == "all" or found == "correct":
            tally.keep(MATH, len(parts.reasoning))
            kept.append(candidate._replace(outcome=found))
            continue
        reason = {None: missing, "timeout": "ungraded"}.get(found, str(found))
        reference = without.found if without else parts.reference
        shown = {"answer": parts.answer[-100:], "reference": reference}
        tally.drop(MATH, reason, len(parts.reasoning), **shown)
    return kept


def trace_row(candidate: Candidate, source: str) -> dict:
    """A line of ``traces.jsonl``: text alone, since the ids were another tokenizer's."""
    parts = candidate.parts
    verdict = {"correct": True, "timeout": None, None: None}.get(candidate.outcome, False)
    return {
        "task": MATH, "item": candidate.item, "sample": candidate.sample, "correct": verdict,
        "reasoning_tokens": None, "reasoning_characters": len(parts.reasoning),
        "text": f"<think>\n{parts.reasoning}\n</think>\n\n{parts.answer}", "completion_ids": None,
        "wording": "natural", "question": parts.question, "answer": parts.reference or "",
        "source": source, "tokenizer": None,
        "reasoning_text": parts.reasoning, "answer_text": parts.answer,
    }  # fmt: skip
