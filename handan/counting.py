"""One way of counting a response of which there is text: by its provider, or from the text again.

The provider's own count of reasoning tokens comes first. It may include the tags and is not
adjusted. Text without such a count is tokenised again, which gives other lengths than the model
generated: a few per cent for ordinary text, and whatever a wrong tokenizer gives.
"""

from collections.abc import Callable
from typing import NamedTuple

from handan.chat import Unusable, Usage
from handan.errors import UserError

Count = Callable[[str], int]
# End of sequence and the tags around a span are generated, and are in no text.
TOKENS_OUTSIDE_TEXT = 3
# By how much a text and the tokens that were generated may differ: the larger of these.
MOST_TOKENS_APART, MOST_SHARE_APART = 8, 0.25
# Fewer characters than a third of the tokens are not all of a text, in any language.
LEAST_CHARACTERS = 1 / 3


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
        missing = (
            "counts 0 for the reasoning it holds"
            if own == 0
            else "has no count of reasoning tokens"
        )
        raise UserError(f"the provider {missing}; {cure}")
    thought, said = tokens(reasoning or ""), tokens(answer)
    # One server shows the prompt as the answer of a response that was cut inside the span.
    inside = ended is False and thought > 0 and 0 < (generated or 0) < thought + said
    said = 0 if inside else said
    check_text(whole, generated, thought + said)
    return Counts(thought, said, generated, "retokenized", inside)


def check_text(text: str, generated: int | None, found: int | None) -> None:
    """Stop at a response whose text is not what was generated, as far as can be seen.

    Args:
        text: all that is shown.
        generated: tokens, by the provider's count; None without one.
        found: tokens of the text; None without a tokenizer.

    Raises:
        Unusable: text is missing, or the tokenizer is another model's.
    """
    if generated is None:
        return
    if found is None:
        if len(text) + MOST_TOKENS_APART < LEAST_CHARACTERS * generated:
            raise Unusable(
                f"its text has {len(text)} characters for {generated} generated tokens: text is "
                "missing"
            )
        return
    found += TOKENS_OUTSIDE_TEXT
    if abs(found - generated) > max(MOST_TOKENS_APART, MOST_SHARE_APART * generated):
        raise Unusable(
            f"the tokenizer finds {found / generated:.2f} of the tokens that the server generated: "
            "text is missing, or the tokenizer is another model's"
        )
