"""One reading of chat completions, for the engine that asks a server and for logs of responses.

Servers that speak OpenAI's protocol differ: where the reasoning stands, what its tokens are counted
as, how a failure is told, in what word a response ends. A response the model ended itself has a
length of thought; one that was cut has at least that; one whose request failed, or that was
withheld, has none (``docs/models.md``). Types are checked here; what leaves here is text, whole
numbers and None.

The provider's own count of reasoning tokens comes first. It may include the tags and is not
adjusted. Text without such a count is tokenised again, which gives other lengths than the model
generated: a few per cent for ordinary text, and whatever a wrong tokenizer gives.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from handan import json_input
from handan.errors import UserError
from handan.json_input import expect, part

ENDED, CUT, FAILED, WITHHELD = "ended", "cut", "failed", "withheld"

_WORDS = {
    ENDED: "stop eos eos_token eos_found end end_turn end_of_text word stop_sequence stop_string "
    "stop_str stop_token complete completed tool_calls tool_call tool_use function_call pause_turn "
    "reason_stop",
    CUT: "length max_tokens max_token max_length max_output_tokens max_new_tokens model_length "
    "context_length token_limit limit incomplete model_context_window_exceeded reason_max_len "
    "reason_max_context repetition",
    # and any word with 'error' in it
    FAILED: "insufficient_system_resource abort aborted cancel cancelled canceled user_cancel "
    "interrupted preempted timeout time_limit failed failure overloaded rate_limit unavailable "
    "load unload not_finished",
    WITHHELD: "content_filter content_filtered refusal safety image_safety recitation blocklist "
    "blocked prohibited_content spii sensitive moderation guardrail guardrails "
    "guardrail_intervened error_toxic language",
}
_CLASS = {word: name for name, words in _WORDS.items() for word in words.split()}
# Where reasoning is set apart from the answer, first the fields that hold text.
TEXT_FIELDS = ("reasoning", "reasoning_content", "reasoning_text", "thinking")
BLOCK_FIELDS = ("reasoning_details", "thinking_blocks")
# Parts of a content list; a part of another kind is told.
ANSWER_PARTS = ("text", "output_text")
SILENT_PARTS = ("tool_call", "tool_calls", "tool_use", "function_call", "reference")
# Where text is in an object, and where is what stands for it.
TEXT_IN = ("text", "content", *TEXT_FIELDS)
HIDDEN_IN = ("data", "summary", "encrypted_content")
# Where usage counts the reasoning.
DETAILS = ("completion_tokens_details.", "output_tokens_details.", "")
MAX_DEPTH = 8  # of text inside lists and objects
_REFUSAL = "withheld (a refusal in the place of an answer)"
# End of sequence and the tags around a span are generated, and are in no text.
TOKENS_OUTSIDE_TEXT = 3
# By how much a text and the tokens that were generated may differ: the larger of these.
MAX_TOKENS_APART, MAX_SHARE_APART = 8, 0.25
# Fewer characters than a third of the tokens are not all of a text, in any language.
MIN_CHARACTERS = 1 / 3

Count = Callable[[str], int]


def class_of(word: str | None) -> str | None:
    """Return the class of a finish reason; None where it says nothing that is known here.

    Capitals, hyphens and the name of an enumeration in front (``FinishReason.STOP``) do not matter.
    """
    plain = (word or "").strip().lower().rpartition(".")[2].replace("-", "_").replace(" ", "_")
    plain = plain.removeprefix("finish_reason_")
    return _CLASS.get(plain) or (FAILED if "error" in plain else None)


def ended(word: str | None) -> bool | None:
    """Tell whether the model ended the response itself; None where its finish reason does not."""
    return {ENDED: True, CUT: False}.get(class_of(word) or "")


class Unusable(UserError):
    """A response that says nothing about a length of thought."""


class FailedRequest(Unusable):
    """A request that failed though its status is 200: another try may help."""


class Withheld(Unusable):
    """A response that a filter cut or refused: nothing of a model's thought ends there."""


class Usage(NamedTuple):
    """A provider's counts of tokens, None where it does not count.

    Attributes:
        prompt: of the prompt.
        generated: everything after it.
        reasoning: of the reasoning, which may include its tags.
        answer: the rest of ``generated``.
    """

    prompt: int | None = None
    generated: int | None = None
    reasoning: int | None = None
    answer: int | None = None


UNCOUNTED = Usage()


class Said(NamedTuple):
    """The content of one choice.

    Attributes:
        reasoning: where it is set apart; '' if it is not, None if it is hidden: encrypted, redacted
            or summarised.
        text: everything else.
        finish: why generation ended, in the server's word; None without one.
    """

    reasoning: str | None
    text: str
    finish: str | None = None


def choices_of(body: dict) -> list[dict]:
    """Return the choices of a response, unless it tells an error or is no chat completion."""
    told = ("error",) if "choices" in body else ("error", "errors", "detail", "message", "msg")
    if error := next((body[name] for name in told if body.get(name)), None):
        raise FailedRequest(f"the request failed ({_error(error)})")
    if "choices" not in body:
        raise Unusable("no 'choices' in the response; only chat completions are read")
    return [expect("a choice", choice, dict) for choice in part(body, "choices", list)]


def said_by(choice: dict, usage: Usage) -> Said:
    """Read a choice, which must say something.

    Raises:
        FailedRequest: the request failed, or the response is empty and nothing was generated.
        Withheld: by a filter.
        UserError: it cannot be read.
    """
    word = json_input.text("finish_reason", choice.get("finish_reason")) or None
    kind = class_of(word)
    if choice.get("error"):
        raise FailedRequest(f"the request failed ({_error(choice['error'])})")
    if kind == FAILED:
        raise FailedRequest(f"the request failed (finish reason '{word}')")
    if kind == WITHHELD:
        raise Withheld(f"withheld by a filter (finish reason '{word}')")
    if choice.get("message") is None:
        raise FailedRequest("the request failed (no message in the response)")
    message = expect("message", choice["message"], dict)
    reasoning, text = read_message(message)
    if not text and _text("refusal", message.get("refusal")):
        raise Withheld(_REFUSAL)
    generated = usage.generated or usage.reasoning or choice.get("token_ids")
    if not text.strip() and not (reasoning or "").strip() and not generated:
        raise FailedRequest("the request failed (an empty response without a count of tokens)")
    return Said(reasoning, text, word)


def read_message(message: dict) -> tuple[str | None, str]:
    """Return reasoning and text of a message, as ``Said`` has them, unless it is a refusal."""
    text, blocks = _content(message.get("content"))
    for name in BLOCK_FIELDS:
        value = message.get(name) or []
        blocks += value if isinstance(value, list) else [value]
    fields = [message.get(name) for name in TEXT_FIELDS]
    if any(map(_is_hidden, [*fields, *blocks])):
        return None, text
    apart = map(_text, TEXT_FIELDS, fields)
    reasoning = next((found for found in apart if found.strip()), "")
    reasoning = reasoning or "".join(_text("reasoning", block) for block in blocks)
    # Empty blocks stand for text that the provider keeps.
    return (None if blocks and not reasoning.strip() else reasoning), text


def usage_of(body: dict) -> Usage:
    """Return the counts of a response.

    Most providers count reasoning as a part of the completion; some beside it, as the total then
    shows. A prompt of 0 tokens, and a count of -1, is no count. Of several choices there is only
    the sum, which belongs to none.
    """
    found = part(body, "usage", dict)

    def count(*names: str) -> int | None:
        """The first that is not 0, of this name or of names inside each other."""
        counts = []
        for name in names:
            outer, _, last = name.rpartition(".")
            inside = part(found, outer, dict) if outer else found
            counts.append(json_input.count(last, inside.get(last)))
        return next(filter(None, counts), 0 if 0 in counts else None)

    prompt = count("prompt_tokens", "input_tokens")
    if len(body["choices"]) > 1:
        return Usage(prompt=prompt or None)
    completion = count("completion_tokens", "output_tokens")
    reasoning = count(*(f"{outer}reasoning_tokens" for outer in DETAILS))
    return counted(prompt, completion, reasoning, count("total_tokens"))


def counted(
    prompt: int | None, completion: int | None, reasoning: int | None, total: int | None
) -> Usage:
    """Return usage from a provider's counts, with reasoning in the completion or beside it."""
    if reasoning is None or completion is None:
        return Usage(prompt or None, completion, reasoning, None)
    if reasoning and prompt is not None and total == prompt + completion + reasoning:
        return Usage(prompt or None, completion + reasoning, reasoning, completion)
    if reasoning > completion:
        raise Unusable(f"usage counts {reasoning} reasoning tokens in a completion of {completion}")
    return Usage(prompt or None, completion, reasoning, completion - reasoning)


def _content(value: object) -> tuple[str, list]:
    """The text of a message's content, and its parts that hold reasoning."""
    texts, blocks = [], []
    for piece in value if isinstance(value, list) else [value]:
        kind = str(piece.get("type", "text")) if isinstance(piece, dict) else "text"
        if kind in ANSWER_PARTS:
            texts.append(_text("content", piece))
        elif "thinking" in kind or "reasoning" in kind:
            blocks.append(piece)
        elif kind == "refusal":
            raise Withheld(_REFUSAL)
        elif kind not in SILENT_PARTS:
            raise Unusable(f"content has a part of type {kind[:40]!r}, which is not known")
    return "".join(texts), blocks


def _is_hidden(block: object) -> bool:
    """Whether reasoning is encrypted, redacted or summarised in what should hold its text."""
    if not isinstance(block, dict):
        return False
    kind = str(block.get("type", ""))
    other = kind.endswith(("encrypted", "summary")) or "redacted" in kind or block.get("redacted")
    shown, kept = (any(block.get(name) for name in names) for names in (TEXT_IN, HIDDEN_IN))
    return (shown or kept) if other else (kept and not shown)


def _text(what: str, value: object, depth: int = 0) -> str:
    """Text that may be inside lists and objects."""
    if depth > MAX_DEPTH:
        raise Unusable(f"{what} is nested too deeply")
    if isinstance(value, list):
        return "".join(_text(what, piece, depth + 1) for piece in value)
    if not isinstance(value, dict):
        return json_input.text(what, value)
    if not any(name in value for name in (*TEXT_IN, *HIDDEN_IN, "signature")):
        raise Unusable(f"{what} is an object without text")
    found = (_text(what, value.get(name), depth + 1) for name in TEXT_IN)
    return next((text for text in found if text), "")


def _error(error: Any) -> str:
    """The message of an error object, in a few words."""
    said = error.get("message") or error.get("code") if isinstance(error, dict) else error
    return " ".join(str(said).split())[:200]


class Counts(NamedTuple):
    """Tokens of a response.

    Attributes:
        reasoning, answer: of its parts; the answer's are None where nothing counts them.
        generated: all, with tags and end of sequence; None where the provider does not count.
        counted_by: ``usage`` or ``retokenized``.
        cut_inside: whether it was cut inside the span, so that its answer was never generated.
    """

    reasoning: int
    answer: int | None
    generated: int | None
    counted_by: str
    cut_inside: bool = False


def count(
    reasoning: str | None,
    answer: str,
    usage: Usage,
    ended: bool | None,
    tokens: Count | None,
    cure: str,
) -> Counts:
    """Count a response.

    A count of 0 beside text is no count, be it of the reasoning or of the answer.

    Args:
        reasoning: its text, '' for none, None where it is hidden.
        answer: its text.
        usage: the provider's counts.
        ended: whether the model ended the response; None if nobody says.
        tokens: counts the tokens of a text; None without a tokenizer.
        cure: how to name a tokenizer, where one is needed.

    Raises:
        Unusable: the reasoning is hidden and not counted, or text and usage do not agree.
        UserError: a tokenizer is needed.
    """
    own, rest, generated = usage.reasoning, usage.answer, usage.generated or None
    if own and not rest and (rest is None or answer.strip()):
        return Counts(own, tokens(answer) if tokens else None, None, "usage")
    if own:
        return Counts(own, rest, generated, "usage")
    if own is None and reasoning is None:
        raise Unusable("its reasoning is hidden (encrypted, redacted or a summary) and not counted")
    whole = f"{reasoning or ''}{answer}"
    if own == 0 and not (reasoning or "").strip():
        found = tokens(answer) if tokens else None
        check_text(whole, generated, found)
        return Counts(0, rest if generated else found, generated, "usage")
    if tokens is None:
        missing = "has no count of reasoning tokens"
        if own == 0:
            missing = "counts 0 for the reasoning it holds"
        raise UserError(f"the provider {missing}; {cure}")
    thought, said = tokens(reasoning or ""), tokens(answer)
    # One server shows the prompt as the answer of a response that was cut inside the span.
    inside = ended is False and thought > 0 and 0 < (generated or 0) < thought + said
    said = 0 if inside else said
    check_text(whole, generated, thought + said)
    return Counts(thought, said, generated, "retokenized", inside)


def check_text(text: str, generated: int | None, found: int | None) -> None:
    """Stop at a response whose text is not what was generated, as far as can be seen.

    ``generated`` are its tokens by the provider's count, ``found`` those of the text shown; None
    where nothing counts them.
    """
    if generated is None:
        return
    if found is None:
        if len(text) + MAX_TOKENS_APART < MIN_CHARACTERS * generated:
            raise Unusable(
                f"its text has {len(text)} characters for {generated} generated tokens: text is "
                "missing"
            )
        return
    found += TOKENS_OUTSIDE_TEXT
    if abs(found - generated) > max(MAX_TOKENS_APART, MAX_SHARE_APART * generated):
        raise Unusable(
            f"the tokenizer finds {found / generated:.2f} of the tokens that the server generated: "
            "text is missing, or the tokenizer is another model's"
        )
