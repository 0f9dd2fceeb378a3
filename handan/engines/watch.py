"""What a server may do without saying so, found on its responses: the run then stops.

Length is what is measured. A server that ignores the temperature or the cap, hides the reasoning,
or runs another model than its tokenizer's changes every length and answers all the same.
"""

from collections import Counter, defaultdict
from statistics import median

from handan.counting import TOKENS_OUTSIDE_TEXT
from handan.engines.base import Completion, Engine
from handan.errors import UserError, printable
from handan.finish import class_of
from handan.generate import Request

# Fewer responses than these may be so by chance.
LEAST_RESPONSES, LEAST_ITEMS = 8, 16
# Two samples of so many tokens are not the same by chance; nor is a recount so far off.
LEAST_TOKENS, LEAST_RECOUNTED, RECOUNT_TOLERANCE = 16, 32, 0.1


class Watch:
    """Looks at all responses one process gets from a server."""

    def __init__(self, engine: Engine) -> None:
        self.form = engine.form
        self.responses = self.thinking = 0
        self.noted = False
        self.ratios: list[float] = []
        self.unknown: Counter[str | None] = Counter()
        self.texts: dict[tuple[str, str], list[str]] = defaultdict(list)

    def check_cap(self, request: Request, completion: Completion) -> None:
        """Look at the length of one response, before it is read.

        Raises:
            UserError: it is longer than the cap.
        """
        cap, ids = request.decoding.max_new_tokens, completion.ids
        generated = (completion.usage.generated or 0) if ids is None else len(ids)
        if generated > (1 + RECOUNT_TOLERANCE) * cap:
            raise UserError(
                f"the server generated {generated} tokens and the cap is {cap}; set 'cap_field' in "
                "the YAML of the engine to the field it obeys"
            )

    def count(self, request: Request, completion: Completion, row: dict) -> None:
        """Look at one response that was read."""
        here, there = len(request.prompt_ids), row["prompt_tokens"]
        self.responses += 1
        if here not in (0, there) and not self.noted:
            self.noted = True
            print(
                f"note: the server's prompt of {row['task']}, {row['item']} has {there} tokens, "
                f"and {here} as the chat template makes it here: is it asked as in this process?",
                flush=True,
            )
        word = row["finish_reason"]
        if class_of(word) is None:
            self.unknown[word] += 1
        # A span that is open at the end of a text is none, unless the response was cut.
        apart = completion.ids is None and completion.reasoning != ""
        closed = apart or row["answer_tokens"] > 0 or row["status"] == "truncated"
        self.thinking += row["reasoning_tokens"] > 0 and closed
        counted = row["reasoning_tokens"] + row["answer_tokens"]
        if row["counted_by"] == "retokenized" and row["generated_tokens"] >= LEAST_RECOUNTED:
            self.ratios.append((counted + TOKENS_OUTSIDE_TEXT) / row["generated_tokens"])
        if request.decoding.temperature > 0 and counted >= LEAST_TOKENS:
            self.texts[row["task"], row["item"]].append(row["text"])

    def check(self) -> None:
        """Judge all responses so far.

        Raises:
            UserError: says what the server does, and how to mend it.
        """
        if self.form.thinks and self.responses >= LEAST_RESPONSES and not self.thinking:
            raise UserError(
                f"none of {self.responses} responses of the server shows a reasoning span: it "
                f"removes '{self.form.open}' or hides the span; start it with a reasoning parser, "
                "let it return token ids, or pass --reasoning_format plain for a model that does "
                "not think"
            )
        if len(self.ratios) >= LEAST_RESPONSES:
            ratio = median(self.ratios)
            if abs(ratio - 1) > RECOUNT_TOLERANCE:
                raise UserError(
                    f"the tokenizer finds {ratio:.2f} of the tokens that the server generated "
                    f"(median of {len(self.ratios)}): text is missing, or the tokenizer is another "
                    "model's; let the server return token ids, or mend 'tokenizer'"
                )
        repeated = [texts for texts in self.texts.values() if len(texts) > 1]
        if len(repeated) >= LEAST_ITEMS and all(len(set(texts)) == 1 for texts in repeated):
            raise UserError(
                f"all samples of an item are the same, for {len(repeated)} items that "
                "were sampled: the server ignores temperature or seed; see "
                "docs/models.md for what it needs in 'extra_body'"
            )

    def tell_unknown(self) -> None:
        """Say how many responses had a finish reason that says nothing."""
        if self.unknown:
            words = ", ".join(f"{word or 'null'} ({n})" for word, n in self.unknown.most_common(3))
            print(
                f"note: {self.unknown.total()} of {self.responses} responses of the server have no "
                f"finish reason that is known: {printable(words)}. They are not taken for cut, but "
                "where their span does not end",
                flush=True,
            )
