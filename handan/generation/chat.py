"""One reading of chat completions, for the engine that asks a server and for logs of responses.

A response the model ended itself has a length of thought; a cut one has at least that; a failed or
withheld one has none (``docs/models.md``). The provider's count of reasoning tokens, perhaps with
the tags, comes first; text without it is tokenised again, a few per cent apart.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from handan import inputs
from handan.config import read_yaml
from handan.errors import UserError
from handan.inputs import expect, part

ENDED, CUT, FAILED, WITHHELD = "ended", "cut", "failed", "withheld"

_WORDS = read_yaml(Path(__file__).with_name("finish_reasons.yaml"))
_CLASS = {word: name for name, words in _WORDS.items() for word in words.split()}
# Where reasoning is set apart from the answer in text.
TEXT_FIELDS = ("reasoning", "reasoning_content", "reasoning_text", "thinking")
SILENT_PARTS = ("tool_call", "tool_calls", "tool_use", "function_call", "reference")
# Where text is in an object, and where is what stands for it.
TEXT_IN = ("text", "content", *TEXT_FIELDS)
HIDDEN_IN = ("data", "summary", "encrypted_content")
_REFUSAL = "withheld (a refusal in the place of an answer)"
# End of sequence and the tags around a span are generated, and are in no text.
TOKENS_OUTSIDE_TEXT = 3
# By how much a text and the tokens that were generated may differ.
MAX_TOKENS_APART = 8

Count = Callable[[str], int]


def class_of(word: str | None) -> str | None:
    """Return the class of a finish reason in any case (``FinishReason.STOP``), if known."""
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
    """A provider's counts of tokens; the reasoning's may include tags, ``answer`` is the rest."""

    prompt: int | None = None
    generated: int | None = None
    reasoning: int | None = None
    answer: int | None = None


UNCOUNTED = Usage()


class Said(NamedTuple):
    """The content of one choice; ``reasoning`` is '' where it is not set apart, None if hidden."""

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
    """Read a choice; one that says nothing raises ``FailedRequest`` or ``Withheld``."""
    word = inputs.text("finish_reason", choice.get("finish_reason")) or None
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
    texts, blocks = [], []
    content = message.get("content")
    for piece in content if isinstance(content, list) else [content]:
        kind = str(piece.get("type", "text")) if isinstance(piece, dict) else "text"
        if kind in ("text", "output_text"):
            texts.append(_text("content", piece))
        elif "thinking" in kind or "reasoning" in kind:
            blocks.append(piece)
        elif kind == "refusal":
            raise Withheld(_REFUSAL)
        elif kind not in SILENT_PARTS:
            raise Unusable(f"content has a part of type {kind[:40]!r}, which is not known")
    text = "".join(texts)
    for name in ("reasoning_details", "thinking_blocks"):
        value = message.get(name) or []
        blocks += value if isinstance(value, list) else [value]
    fields = [message.get(name) for name in TEXT_FIELDS]
    if any(map(_is_hidden, [*fields, *blocks])):
        return None, text
    reasoning = next(filter(str.strip, map(_text, TEXT_FIELDS, fields)), "")
    reasoning = reasoning or "".join(_text("reasoning", block) for block in blocks)
    # Empty blocks stand for text that the provider keeps.
    return (None if blocks and not reasoning.strip() else reasoning), text


def usage_of(body: dict) -> Usage:
    """Return the counts of a response; 0 for a prompt, -1 and sums of choices are no counts."""
    found = part(body, "usage", dict)

    def count(*names: str) -> int | None:
        # The first that is not 0, of this name or of names inside each other.
        counts = []
        for name in names:
            outer, _, last = name.rpartition(".")
            inside = part(found, outer, dict) if outer else found
            counts.append(inputs.count(last, inside.get(last)))
        return next(filter(None, counts), 0 if 0 in counts else None)

    prompt = count("prompt_tokens", "input_tokens")
    if len(body["choices"]) > 1:
        return Usage(prompt=prompt or None)
    completion = count("completion_tokens", "output_tokens")
    details = ("completion_tokens_details.", "output_tokens_details.", "")
    reasoning = count(*(f"{outer}reasoning_tokens" for outer in details))
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


def _is_hidden(block: object) -> bool:
    """Tell whether reasoning is encrypted, redacted or summarised in the place of its text."""
    if not isinstance(block, dict):
        return False
    kind = str(block.get("type", ""))
    other = kind.endswith(("encrypted", "summary")) or "redacted" in kind or block.get("redacted")
    shown, kept = (any(block.get(name) for name in names) for names in (TEXT_IN, HIDDEN_IN))
    return (shown or kept) if other else (kept and not shown)


def _text(what: str, value: object, depth: int = 0) -> str:
    """Return text that may be inside lists and objects."""
    if depth > 8:
        raise Unusable(f"{what} is nested too deeply")
    if isinstance(value, list):
        return "".join(_text(what, piece, depth + 1) for piece in value)
    if not isinstance(value, dict):
        return inputs.text(what, value)
    if not any(name in value for name in (*TEXT_IN, *HIDDEN_IN, "signature")):
        raise Unusable(f"{what} is an object without text")
    found = (_text(what, value.get(name), depth + 1) for name in TEXT_IN)
    return next((text for text in found if text), "")


def _error(error: Any) -> str:
    """Return the message of an error object, in a few words."""
    said = error.get("message") or error.get("code") if isinstance(error, dict) else error
    return " ".join(str(said).split())[:200]


class Counts(NamedTuple):
    """Tokens of a response by ``usage`` or ``retokenized``, perhaps cut inside its reasoning."""

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
    """Count by usage (0 beside text is none), else by ``tokens``; both must agree with the text."""
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
        none = "has no count of reasoning tokens"
        missing = "counts 0 for the reasoning it holds" if own == 0 else none
        raise UserError(f"the provider {missing}; {cure}")
    thought, said = tokens(reasoning or ""), tokens(answer)
    # One server shows the prompt as the answer of a response that was cut inside the span.
    inside = ended is False and thought > 0 and 0 < (generated or 0) < thought + said
    said = 0 if inside else said
    check_text(whole, generated, thought + said)
    return Counts(thought, said, generated, "retokenized", inside)


def check_text(text: str, generated: int | None, found: int | None) -> None:
    """Stop at a text of ``found`` tokens that is not what was generated, as far as is known."""
    if generated is None:
        return
    # Fewer characters than a third of the tokens are not all of a text, in any language.
    if found is None and len(text) + MAX_TOKENS_APART < generated / 3:
        size = f"{len(text)} characters for {generated} generated tokens"
        raise Unusable(f"its text has {size}: text is missing")
    found = generated if found is None else found + TOKENS_OUTSIDE_TEXT
    if abs(found - generated) > max(MAX_TOKENS_APART, 0.25 * generated):
        raise Unusable(
            f"the tokenizer finds {found / generated:.2f} of the tokens that the server generated: "
            "text is missing, or the tokenizer is another model's"
        )
