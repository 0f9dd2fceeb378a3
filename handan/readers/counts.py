"""From a logged response to its cost: whose count it is, and what status the response has."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from handan.chat import Unusable
from handan.counting import Count, check_text, count
from handan.errors import UserError
from handan.finish import ended
from handan.json_input import json_object, read_bytes
from handan.readers.logged import LoggedSample
from handan.readers.spans import status


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
        Unusable: nothing can count this response.
        UserError: a tokenizer is needed.
    """
    span = sample.span
    counts: tuple[int, int | None, str]
    if characters:
        counts = *_characters(sample), "characters"
    else:
        cure = "pass the model's --tokenizer, or --count characters"
        by_itself = ended(sample.said.finish)
        try:
            found = count(span.reasoning, span.answer, sample.usage, by_itself, tokens, cure)
        except Unusable:
            raise
        except UserError as error:
            raise UserError(f"{sample.place}: {error}") from None
        counts = found.reasoning, found.answer, found.counted_by
    return {
        "reasoning_tokens": counts[0],
        "answer_tokens": counts[1],
        "prompt_tokens": None if characters else sample.usage.prompt,
        "reasoning_characters": None if span.reasoning is None else len(span.reasoning),
        "status": status(sample.said.finish, span, counts[0]),
        "counted_by": counts[2],
    }


def _characters(sample: LoggedSample) -> tuple[int, int]:
    """Characters of reasoning and answer."""
    reasoning, answer = sample.span.reasoning, sample.span.answer
    if reasoning is None:
        raise Unusable("its reasoning is hidden, so nothing counts its characters")
    check_text(reasoning + answer, sample.usage.generated, None)
    return len(reasoning), len(answer)


def agreement(samples: Sequence[LoggedSample], rows: Sequence[dict]) -> str | None:
    """How text counted again compares with what the provider says it generated, in words."""
    ratios = [
        (row["reasoning_tokens"] + row["answer_tokens"]) / sample.usage.generated
        for sample, row in zip(samples, rows, strict=True)
        if row["counted_by"] == "retokenized" and sample.usage.generated
    ]
    if not ratios:
        return None
    return (
        f"the tokenizer finds {median(ratios):.2f} of the tokens the provider counted (median of "
        f"{len(ratios)}; tags and end of sequence are not in the text)"
    )
