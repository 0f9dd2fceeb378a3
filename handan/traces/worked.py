"""Worked solutions by rule: the traces of a teacher whose every habit is known.

A trace is the problem's worked steps in a style, as in pretraining, and the right answer. Nobody
generates it, so it costs no generated token and no FLOPs. It is read and graded as a response is.
"""

import random
from dataclasses import asdict
from pathlib import Path

from handan.errors import UserError
from handan.evaluation.grading import TaskItem, read_completion
from handan.files import file_hash
from handan.generation.formats import AUTO, choose_for
from handan.generation.loading import ends_of, load_tokenizer
from handan.generation.prompting import prompt_ids
from handan.generation.spans import opened_by_prompt
from handan.launch import Processes
from handan.tiny.families import problem_of_key
from handan.tiny.solutions import TraceStyle, trace_words
from handan.traces.filter_stats import Tally, trace_run, write_traces
from handan.traces.generate import Reading, trace_row
from handan.traces.settings import WorkedSettings
from handan.training.data import load_prompts
from handan.training.labels import tokenizer_fingerprint

# A student of these traces has the budget of its own training and nothing beside it.
BUDGET = {"generated_tokens": 0, "model_flops": 0.0, "device_seconds": 0.0}


def write_worked(settings: WorkedSettings, world: Processes) -> None:
    """Write worked solutions of all prompts.

    Raises:
        UserError: a prompt is not of the embedded world, or the tokenizer does not know its words.
    """
    prompts = Path(settings.prompts)
    style = settings.trace_style()
    questions = load_prompts(prompts)
    for question in questions:
        if question.wording != "compact":
            raise UserError(
                f"{prompts}: '{question.item.key}' of {question.item.task} has wording "
                f"'{question.wording}'; worked traces are written for compact wording alone"
            )
    name = settings.model_name_or_path
    tokenizer = load_tokenizer(name)
    form = choose_for(name, AUTO, tokenizer)
    if form.open is None or form.close is None:
        raise UserError(f"{name}: marks no reasoning; give a model of the embedded world")
    reading = Reading(tokenizer, form, ends_of(name, None, tokenizer))
    fingerprint = tokenizer_fingerprint(tokenizer)
    facts = {
        "style": asdict(style),
        "prompts_sha256": file_hash(prompts),
        "tokenizer": fingerprint,
        "reasoning_format": asdict(form),
    }
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
            write_traces(run_dir, rows, tally, parameters=None, budget=BUDGET)


def _write(
    question: TaskItem, sample: int, settings: WorkedSettings, style: TraceStyle, reading: Reading
) -> dict:
    """One trace, read as a response of the evaluator would be.

    Raises:
        UserError: it could not be read as a right one.
    """
    item, (tokenizer, form, ends) = question.item, reading
    # Of its own, so that a trace does not depend on which others are written.
    rng = random.Random(f"{settings.seed} {item.task} {item.key} {sample}")
    problem = problem_of_key(item.task, item.key)
    thought = trace_words(problem.steps(style.format, rng), style, rng)
    prompt = prompt_ids(tokenizer, item.question, form)
    opening = [] if opened_by_prompt(tokenizer, prompt, form) else [form.open]
    words = [*opening, *thought, form.close, *problem.answer, tokenizer.eos_token]
    ids = tokenizer.convert_tokens_to_ids(words)
    if None in ids or tokenizer.decode(ids) != " ".join(words):
        raise UserError(
            f"{settings.model_name_or_path}: its tokenizer does not know every word of the traces; "
            "give a model of the embedded world"
        )
    row = read_completion(tokenizer, question, form, prompt, ids, ends)
    if not row["correct"]:
        raise UserError(
            f"'{item.key}' of {item.task}: the prompts say the answer is '{item.answer}', its "
            f"worked solution ends with '{' '.join(problem.answer)}'; correct the prompts"
        )
    named = {"task": item.task, "item": item.key, "sample": sample}
    return {**named, **row, "text": tokenizer.decode(ids), "completion_ids": ids}
