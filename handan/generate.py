"""Batched generation with transformers, reproducible batch by batch.

Requests are sorted by prompt length and cut into batches once; every batch has its own seed. So a
run that was killed and continued, or that ran on more processes, draws the same samples.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handan.errors import UserError
from handan.formats import ReasoningFormat
from handan.records import content_hash

# What chat templates take for today.
PROMPT_DATE = datetime.date(2026, 1, 1)


@dataclass(frozen=True)
class Decoding:
    """How responses are drawn.

    Attributes:
        temperature: 0 is greedy.
        top_p: nucleus; 1 switches it off. There is no top-k.
        max_new_tokens: the cap; a response that reaches it is a censored cost.
    """

    temperature: float
    top_p: float
    max_new_tokens: int


@dataclass(frozen=True)
class Request:
    """One response to draw: whose it is, the prompt's ids and the decoding."""

    item: int
    sample: int
    prompt_ids: tuple[int, ...]
    decoding: Decoding


def prompt_ids(tokenizer: Any, question: str, form: ReasoningFormat) -> tuple[int, ...]:
    """The ids a model is given for a question: its chat template, or the bare text without one.

    The template gets what the format says, and a fixed date: some write the day of the call into
    the system prompt, and a run that goes on tomorrow would ask other prompts.

    Raises:
        UserError: the beginning-of-sequence token is doubled, or a word is unknown to the
            tokenizer; both would change what is measured without a trace.
    """
    if tokenizer.chat_template:
        ids = tokenizer.apply_chat_template(
            form.messages(question),
            add_generation_prompt=True,
            return_dict=True,
            strftime_now=PROMPT_DATE.strftime,
            **form.template,
        )["input_ids"]
    else:
        ids = tokenizer(question)["input_ids"]
    bos, unknown = tokenizer.bos_token_id, tokenizer.unk_token_id
    if bos is not None and list(ids[:2]) == [bos, bos]:
        raise UserError(
            f"{tokenizer.name_or_path}: the prompt begins with two '{tokenizer.bos_token}'; "
            "remove it from the chat template or set add_bos_token to false"
        )
    if unknown is not None and unknown in ids:
        raise UserError(
            f"{tokenizer.name_or_path}: the tokenizer does not know a word of the question "
            f"{question!r}; choose a suite whose wording fits this model"
        )
    return tuple(ids)


def eos_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every id that ends a sequence: the generation config's and the tokenizer's."""
    configured = model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return sorted({i for i in (*ids, tokenizer.eos_token_id) if i is not None})


def batches(requests: Sequence[Request], batch_size: int) -> list[list[Request]]:
    """Cut requests into batches of one decoding each and of similar prompt lengths."""
    decodings = sorted({r.decoding for r in requests}, key=lambda d: (d.temperature, d.top_p))
    out = []
    for decoding in decodings:
        group = [r for r in requests if r.decoding == decoding]
        group.sort(key=lambda r: (len(r.prompt_ids), r.item, r.sample))
        out += [group[i : i + batch_size] for i in range(0, len(group), batch_size)]
    return out


def generate_batch(
    model: Any, tokenizer: Any, batch: Sequence[Request], seed: int
) -> list[list[int]]:
    """Completions of one batch, drawn with a seed of its own.

    The random state of the caller is left as it was. The seed is mixed with the batch's content,
    so no two batches share their draws.
    """
    import torch

    identity = content_hash([seed, [[r.item, r.sample, r.prompt_ids] for r in batch]])
    prompts = [r.prompt_ids for r in batch]
    with torch.random.fork_rng():
        torch.manual_seed(int(identity[:15], 16))
        return complete(model, prompts, batch[0].decoding, eos_ids(model, tokenizer))


def complete(
    model: Any, prompts: Sequence[Sequence[int]], decoding: Decoding, ends: list[int]
) -> list[list[int]]:
    """Completions of prompts, each up to and including its end-of-sequence token.

    Lengths of reasoning are very unequal, and a batch takes as long as its longest row. So it is
    generated in stages of 32, 64, 128, ... tokens, and only unfinished rows go on to the next one.
    """
    import torch

    completions: list[list[int]] = [[] for _ in prompts]
    unfinished, remaining, stage = list(range(len(prompts))), decoding.max_new_tokens, 32
    was_training = model.training
    model.eval()
    with torch.no_grad():
        while unfinished and remaining:
            stage = min(stage, remaining)
            contexts = [[*prompts[i], *completions[i]] for i in unfinished]
            rows = _generate(model, contexts, decoding, stage, ends)
            for i, row in zip(unfinished, rows, strict=True):
                completions[i] += row
            unfinished = [i for i in unfinished if completions[i][-1] not in ends]
            remaining, stage = remaining - stage, 2 * stage
    model.train(was_training)
    return completions


def _generate(
    model: Any, contexts: list[list[int]], decoding: Decoding, num_tokens: int, ends: list[int]
) -> list[list[int]]:
    """At most ``num_tokens`` more ids for each context, up to and including an end of sequence."""
    import torch
    from transformers import GenerationConfig

    sampled = decoding.temperature > 0
    config = GenerationConfig(
        max_new_tokens=num_tokens,
        do_sample=sampled,
        temperature=decoding.temperature if sampled else None,
        top_p=decoding.top_p if sampled else None,
        top_k=0 if sampled else None,
        eos_token_id=ends,
        pad_token_id=ends[0],
    )
    longest = max(map(len, contexts))
    input_ids = torch.full((len(contexts), longest), ends[0])
    attention_mask = torch.zeros_like(input_ids)
    for row, context in enumerate(contexts):
        input_ids[row, longest - len(context) :] = torch.tensor(context)
        attention_mask[row, longest - len(context) :] = 1
    # What a configuration leaves open, generate() takes from the one saved with the model, which
    # may hold a repetition penalty, a minimum length, ...: so that one is put aside meanwhile.
    saved, model.generation_config = model.generation_config, config
    try:
        output = model.generate(
            input_ids=input_ids.to(model.device), attention_mask=attention_mask.to(model.device)
        )
    finally:
        model.generation_config = saved
    return [_until_end(row, ends) for row in output[:, longest:].tolist()]


def _until_end(ids: list[int], ends: Sequence[int]) -> list[int]:
    stop = next((i for i, token in enumerate(ids) if token in ends), len(ids))
    return ids[: stop + 1]
