"""A teacher's traces, drawn like any responses and filtered; and worked solutions by rule."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from handan import rundir
from handan.errors import UserError
from handan.evaluation.grading import TaskItem, read_completion
from handan.evaluation.resource_estimate import size_of_named
from handan.evaluation.responses import KEY, SamplingPlan, collect
from handan.files import content_hash, read_keyed, shipped, write_jsonl
from handan.generation.engines import Engine, load_engine, open_engine
from handan.generation.formats import ReasoningFormat, choose_for
from handan.generation.loading import ends_of, load_tokenizer
from handan.generation.prompting import Decoding, prompt_ids
from handan.generation.spans import opened_by_prompt, split_completion, split_text
from handan.launch import Processes
from handan.tasks.worked_solutions import (
    TraceStyle,
    right_answer,
    sentence_of,
    trace_words,
    worked_steps,
)
from handan.tiny.families import problem_of_key
from handan.traces.filter_stats import Tally, trace_run, write_traces
from handan.traces.trace_settings import GenerateSettings, WorkedSettings
from handan.training.data import Prompt, load_prompts, prompts_hash
from handan.training.labels import tokenizer_fingerprint, written

COLUMNS = (
    *("task", "item", "sample", "correct", "reasoning_tokens", "reasoning_characters"),
    *("counted_by", "text", "completion_ids"),
)
# The parts of an engine by which a response is read: its tokenizer, format and ends.
Reading = tuple[Any, ReasoningFormat, list[int]]


def generate_traces(settings: GenerateSettings, world: Processes) -> None:
    """Draw all responses, keep those that may be imitated, and count the rest."""
    questions = load_prompts(Path(settings.prompts))
    loaded = load_engine(Path(settings.engine) if settings.engine else None)
    named = (settings.model_name_or_path, settings.revision)
    engine = open_engine(
        loaded, *named, reasoning_format=settings.reasoning_format, device=world.device
    )
    facts = {
        # A file of the same name may hold other prompts tomorrow.
        "prompts_sha256": prompts_hash(shipped(Path(settings.prompts))), "engine": engine.identity,
        "reasoning_format": asdict(engine.form), "model_fingerprint": engine.fingerprint,
    }  # fmt: skip
    decoding = Decoding(settings.temperature, settings.top_p, settings.max_new_tokens)
    decodings = dict.fromkeys(range(settings.samples), decoding)
    plan = SamplingPlan(questions, decodings, settings.batch_size, settings.seed)
    teacher = {"arm": settings.arm, "model_fingerprint": engine.fingerprint}
    with trace_run(settings, world, teacher, **facts) as (run_dir, config):
        labels = {
            "model": settings.arm, "settings": content_hash(config),
            "reasoning_format": engine.form.name, "seed": settings.seed,
        }  # fmt: skip
        collect(engine, plan, run_dir / "generations.jsonl", labels, world)
        if world.rank == 0:
            _filter(run_dir, questions, engine, settings)


def _filter(
    run_dir: Path, questions: Sequence[Prompt], engine: Engine, settings: GenerateSettings
) -> None:
    reading = (engine.tokenizer, engine.form, engine.ends)
    tokenizer = tokenizer_fingerprint(engine.tokenizer) if engine.tokenizer else None
    generations = read_keyed(run_dir / "generations.jsonl", KEY)
    by_key = {(q.item.task, q.item.key): q for q in questions}
    kept, tally = [], Tally("reasoning_tokens")
    # The order in the file depends on batches; training must not.
    generations.sort(key=lambda row: (row["task"], row["item"], row["sample"]))
    if settings.samples > 1:
        sort_by_difficulty(run_dir, questions, generations)
    for row in generations:
        outcome = {True: "correct", False: "wrong", None: "timeout"}[row["correct"]]
        tally.outcomes["unreadable" if row["answer"] is None else outcome] += 1
        reason = _reason_to_drop(row, settings.keep)
        if reason is not None:
            tally.drop(row["task"], reason, row["reasoning_tokens"])
            continue
        tally.keep(row["task"], row["reasoning_tokens"])
        question = by_key[row["task"], row["item"]]
        kept.append(trace_row(row, question, reading, settings.arm, tokenizer))
    parameters = size_of_named(settings.model_name_or_path, settings.revision)
    generated = sum(row["generated_tokens"] for row in generations)
    budget = {
        "generated_tokens": generated,
        "model_flops": 2.0 * parameters * generated if parameters is not None else None,
        "device_seconds": round(sum(row["device_seconds"] for row in generations), 1),
        "peak_memory_gib": rundir.peak_memory_gib(),
        "peak_gpu_memory_gib": rundir.peak_gpu_memory_gib(),
    }
    write_traces(run_dir, kept, tally, parameters=parameters, budget=budget)


def sort_by_difficulty(
    run_dir: Path, questions: Sequence[Prompt], generations: Sequence[dict]
) -> None:
    """Write the prompts answered right in some samples and not in all: only they teach GRPO."""
    verdicts = defaultdict(set)
    for row in generations:
        verdicts[row["task"], row["item"]].add(row["correct"] is True)
    found = [(one, verdicts[one.item.task, one.item.key]) for one in questions]
    kept = [{**one.row, **one.columns} for one, verdict in found if len(verdict) > 1]
    write_jsonl(run_dir / "sometimes_right.jsonl", kept)
    always = sum(verdict == {True} for _, verdict in found)
    counts = {"always": always, "never": len(found) - len(kept) - always, "sometimes": len(kept)}
    rundir.add(run_dir, "traces", prompts_right=counts)
    print(f"{run_dir}: prompts right {', '.join(f'{n} {kind}' for kind, n in counts.items())}")


def trace_row(
    row: dict, question: TaskItem, reading: Reading, source: str, tokenizer: str | None
) -> dict:
    """Make a line of ``traces.jsonl``, with text for students of another tokenizer or format."""
    (tokenize, form, ends), ids, item = reading, row["completion_ids"], question.item
    if ids:
        opened = opened_by_prompt(tokenize, prompt_ids(tokenize, item.question, form), form)
        split = split_completion(tokenize, ids, form, opened, ends)
        reasoning = tokenize.decode(split.reasoning_ids)
        answer = split.answer_head + tokenize.decode(split.answer_ids, skip_special_tokens=True)
    elif row["reasoning_characters"]:
        opened = form.open is not None and not row["text"].startswith(form.open)
        reasoning, answer, *_ = split_text(row["text"], form, opened)
    else:
        reasoning, answer = "", row["text"]
    return {column: row[column] for column in COLUMNS} | {
        "wording": question.wording, "question": item.question, "answer": item.answer,
        "source": source, "tokenizer": tokenizer if ids else None,
        "reasoning_text": reasoning.strip(), "answer_text": answer.strip(),
    }  # fmt: skip


def _reason_to_drop(row: dict, keep: str) -> str | None:
    if row["status"] in ("truncated", "unparsed"):
        return row["status"]
    if row["reasoning_tokens"] and not row["reasoning_characters"]:
        return "hidden_reasoning"  # a server counted it and did not show it
    if keep == "all" or row["correct"]:
        return None
    # No verdict is no mistake.
    return "ungraded" if row["correct"] is None else "wrong"


def write_worked(settings: WorkedSettings, world: Processes) -> None:
    """Write worked solutions by rule of all prompts: a teacher whose every habit is known."""
    prompts = shipped(Path(settings.prompts))
    style = settings.trace_style()
    questions = load_prompts(prompts)
    name = settings.model_name_or_path
    tokenizer = load_tokenizer(name)
    form = choose_for(name, settings.reasoning_format, tokenizer)
    if form.open is None or form.close is None:
        raise UserError(
            f"{name}: marks no reasoning; set reasoning_format to the one that the students shall "
            "have, such as asked_to_think"
        )
    reading = (tokenizer, form, ends_of(name, None, tokenizer))
    fingerprint = tokenizer_fingerprint(tokenizer)
    facts = {
        "style": asdict(style), "prompts_sha256": prompts_hash(prompts),
        "tokenizer": fingerprint, "reasoning_format": asdict(form),
    }  # fmt: skip
    teacher = {"arm": settings.arm, "model_fingerprint": None}
    with trace_run(settings, world, teacher, **facts) as (run_dir, _):
        if world.rank == 0:
            rows, tally = [], Tally("reasoning_tokens")
            for question in sorted(questions, key=lambda q: (q.item.task, q.item.key)):
                for sample in range(settings.samples):
                    row = _write(question, sample, settings, style, reading)
                    tally.outcomes["correct"] += 1
                    tally.keep(row["task"], row["reasoning_tokens"])
                    rows.append(trace_row(row, question, reading, settings.arm, fingerprint))
            # A student of these has the budget of its own training and nothing beside it.
            nothing = {"generated_tokens": 0, "model_flops": 0.0, "device_seconds": 0.0}
            write_traces(run_dir, rows, tally, parameters=None, budget=nothing)


def _write(
    question: TaskItem, sample: int, settings: WorkedSettings, style: TraceStyle, reading: Reading
) -> dict:
    """One trace, read as a response of the evaluator would be."""
    item, (tokenizer, form, ends) = question.item, reading
    # Of its own, so that a trace does not depend on which others are written.
    rng = random.Random(f"{settings.seed} {item.task} {item.key} {sample}")
    prompt = prompt_ids(tokenizer, item.question, form)
    if question.wording == "natural":
        answer, steps = right_answer(item), worked_steps(item, style.format, rng)
        thought = trace_words(steps, style, rng)
        parts = {"reasoning_text": sentence_of(thought), "answer_text": answer}
        text = written(parts, prompt, tokenizer, form)
        ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    else:
        problem = problem_of_key(item.task, item.key)
        answer = " ".join(problem.answer)
        thought = trace_words(problem.steps(style.format, rng), style, rng)
        opening = [] if opened_by_prompt(tokenizer, prompt, form) else [form.open]
        words = [*opening, *thought, form.close, *problem.answer, tokenizer.eos_token]
        ids = tokenizer.convert_tokens_to_ids(words)
        if None in ids or tokenizer.decode(ids) != " ".join(words):
            raise UserError(
                f"{settings.model_name_or_path}: its tokenizer does not know every word of the "
                "traces; give a model of the embedded world"
            )
    row = read_completion(tokenizer, question, form, prompt, ids, ends)
    if not row["correct"]:
        raise UserError(
            f"'{item.key}' of {item.task}: the prompts say the answer is '{item.answer}', its "
            f"worked solution ends with '{answer}'; correct the prompts"
        )
    named = {"task": item.task, "item": item.key, "sample": sample}
    return {**named, **row, "text": tokenizer.decode(ids), "completion_ids": ids}
