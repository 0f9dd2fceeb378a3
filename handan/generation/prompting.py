"""Prompts, decoding and batches: all that is asked of a model. Batches are cut once, and each (with
some engines each request) has a seed of its own, so that a continued run draws the same samples."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handan.errors import UserError
from handan.files import content_hash
from handan.generation.formats import ReasoningFormat, rendered

# What chat templates take for today: a run that goes on tomorrow must ask the same prompts.
PROMPT_DATE = datetime.date(2026, 1, 1)
SHOWN = 60  # characters of a question in a message


@dataclass(frozen=True)
class Decoding:
    """Parameters of drawing a response."""

    temperature: float  # 0 is greedy
    top_p: float  # nucleus; 1 switches it off. There is no top-k.
    max_new_tokens: int  # the cap; a response that reaches it is a censored cost


@dataclass(frozen=True)
class Request:
    """One response to draw; ``prompt_ids`` is () without the model's tokenizer."""

    item: int
    sample: int
    question: str
    prompt_ids: tuple[int, ...]
    decoding: Decoding

    def seed(self, seed: int) -> int:
        """A seed of this request's own, in 31 bits, from that of the run."""
        return int(content_hash([seed, self.item, self.sample, self.question]), 16) % 2**31

    def asked(self, form: ReasoningFormat) -> list:
        """The input of the model: its ids, or what is sent to a server of unknown tokenizer."""
        return list(self.prompt_ids) or [form.messages(self.question), dict(form.template)]


def prompt_ids(tokenizer: Any, question: str, form: ReasoningFormat) -> tuple[int, ...]:
    """The ids of a question in the chat template, or of the bare text without one."""
    if tokenizer.chat_template:
        ids = _templated(tokenizer, question, form)
    else:
        system = form.system_prompt
        ids = tokenizer(question if system is None else f"{system}\n\n{question}\n")["input_ids"]
    bos, unknown = tokenizer.bos_token_id, tokenizer.unk_token_id
    if bos is not None and list(ids[:2]) == [bos, bos]:
        raise UserError(
            f"{tokenizer.name_or_path}: the prompt begins with two '{tokenizer.bos_token}'; "
            "remove one from the chat template"
        )
    if unknown is not None and unknown in ids:
        raise UserError(
            f"{tokenizer.name_or_path}: the tokenizer does not know a word of the question "
            f"{question[:SHOWN]!r}; choose a suite and prompts in words that it has"
        )
    return tuple(ids)


def _templated(tokenizer: Any, question: str, form: ReasoningFormat) -> list[int]:
    place = f"{tokenizer.name_or_path}: its chat template"
    template = re.sub(
        r"""strftime_now\s*\(\s*(["'])(.*?)\1\s*\)""",
        lambda call: repr(PROMPT_DATE.strftime(call[2])),
        tokenizer.get_chat_template(),
    )
    if re.search(r"strftime_now(?! is (not )?defined)", template):
        raise UserError(
            f"{place} writes the time of the call into the prompt, so no two runs would ask the "
            "same; set a fixed date in the template"
        )
    for key in form.template:
        if key not in template:
            raise UserError(
                f"{place} does not know '{key}', which reasoning_format '{form.name}' sets; choose "
                "a format of this model"
            )
    messages = form.messages(question)
    text = rendered(
        tokenizer, messages, add_generation_prompt=True, chat_template=template, **form.template
    )
    if question.strip() not in text:
        raise UserError(f"{place} drops the question {question[:SHOWN]!r}; choose a model for text")
    if messages[0]["content"].strip() not in text:
        raise UserError(
            f"{place} drops the system prompt of reasoning_format '{form.name}', so nothing would "
            "ask for reasoning; put it into the template or choose another format"
        )
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def batches(requests: Sequence[Request], batch_size: int) -> list[list[Request]]:
    """Cut requests into batches of one decoding each and of similar prompt lengths."""
    decodings = sorted({r.decoding for r in requests}, key=lambda d: (d.temperature, d.top_p))
    order = sorted(requests, key=lambda r: (len(r.prompt_ids), r.item, r.sample))
    groups = [[r for r in order if r.decoding == decoding] for decoding in decodings]
    return [g[i : i + batch_size] for g in groups for i in range(0, len(g), batch_size)]
