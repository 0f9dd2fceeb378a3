"""From a logged response to its cost: whose count it is, and what status the response has.

The provider's own count of reasoning tokens comes first. It may include the tags and is not
adjusted. Text without such a count is tokenised again, which gives other lengths than the model
generated: a few per cent for ordinary text, and whatever a wrong tokenizer gives.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from handan.errors import UserError
from handan.readers.checks import json_object, read_bytes
from handan.readers.logged import LoggedSample
from handan.readers.spans import status

Count = Callable[[str], int]


def load_tokenizer(name: str) -> Count:
    """A function that counts the tokens of a text, without special ones around it.

    Args:
        name: a folder with ``tokenizer.json``, such a file, or a name on the Hugging Face hub.

    Raises:
        UserError: there is no tokenizer, or no package to read it with.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise UserError("--tokenizer needs a package: pip install 'handan[train]'") from None
    path = Path(name) / "tokenizer.json" if Path(name).is_dir() else Path(name)
    is_file = path.suffix == ".json"
    if is_file:
        json_object(str(path), read_bytes(path))
    try:
        tokenizer = Tokenizer.from_file(str(path)) if is_file else Tokenizer.from_pretrained(name)
    except (OSError, ValueError):
        raise UserError(
            f"--tokenizer {name}: neither a folder or file here nor a name the hub knows"
        ) from None
    except Exception as error:
        # tokenizers reports a malformed file as a bare Exception; anything narrower is a bug.
        if type(error) is not Exception:
            raise
        raise UserError(f"{path}: not a tokenizer of the tokenizers package ({error})") from None
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def cost(sample: LoggedSample, tokens: Count | None, characters: bool) -> dict:
    """Counts, their source and the status of a response, as columns of ``costs.csv``.

    Args:
        sample: the response.
        tokens: counts the tokens of a text; None without a tokenizer.
        characters: count characters of everything instead.

    Raises:
        UserError: nothing here can count this response.
    """
    reasoning = sample.said.reasoning
    counts: tuple[int, int | None, str]
    if characters and reasoning is None:
        raise UserError(
            f"{sample.place}: the log hides the reasoning, so nothing counts its characters; "
            "leave the log out"
        )
    if characters:
        counts = len(reasoning or ""), len(sample.said.answer), "characters"
    elif sample.reasoning_tokens is not None and (sample.reasoning_tokens or not reasoning):
        counts = sample.reasoning_tokens, sample.answer_tokens, "usage"
    elif reasoning is None:
        raise UserError(
            f"{sample.place}: the log hides the reasoning and has no count of it; leave it out"
        )
    elif tokens is None:
        zero = "counts 0 for the reasoning it holds" if sample.reasoning_tokens == 0 else ""
        raise UserError(
            f"{sample.place}: the log {zero or 'has no count of reasoning tokens'}; pass the "
            "model's --tokenizer, or --count characters"
        )
    else:
        counts = tokens(reasoning), tokens(sample.said.answer), "retokenized"
    return {
        "reasoning_tokens": counts[0],
        "answer_tokens": counts[1],
        "prompt_tokens": None if characters else sample.prompt_tokens,
        "reasoning_characters": None if reasoning is None else len(reasoning),
        "status": status(sample.finish, sample.said, counts[0]),
        "counted_by": counts[2],
    }


def agreement(samples: Sequence[LoggedSample], rows: Sequence[dict]) -> str | None:
    """How text counted again compares with what the provider says it generated, in words."""
    ratios = [
        (row["reasoning_tokens"] + row["answer_tokens"]) / sample.completion_tokens
        for sample, row in zip(samples, rows, strict=True)
        if row["counted_by"] == "retokenized" and sample.completion_tokens
    ]
    if not ratios:
        return None
    return (
        f"the tokenizer finds {median(ratios):.2f} of the tokens the provider counted (median of "
        f"{len(ratios)}; tags and end of sequence are not in the text)"
    )
