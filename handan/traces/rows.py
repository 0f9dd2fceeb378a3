"""Rows of published trace sets, read into question, reasoning, answer and reference.

Nothing is guessed: a stranger's row is read as what it surely is, or refused for a reason that is
counted (``docs/traces.md``).
"""

import json
import math
import re
import reprlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from handan.errors import UserError
from handan.generation.formats import FORMATS
from handan.inputs import scalar
from handan.tasks.mathematics import HASHES, reference_answer
from handan.traces.trace_settings import PublishedSettings

# Unquoted in a YAML all of these are booleans, so a set's own 'on' cannot be asked for otherwise.
BOOLEANS = {True: ("true", "yes", "on"), False: ("false", "no", "off")}
# A step of a path: into an object by a name, or a list by an entry's key and value or its place.
Step = dict[str, str | None]
# A list on the way of a path: its place, its entries, the one gone through, the key it is known by.
Visit = tuple[str, list[Any], int, str | None]


class Unusable(Exception):
    """Tell why something is no trace: a reason to count by, and what stood in the row instead."""

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(reason)
        self.reason, self.found = reason, found


def plain(value: Any) -> Any:
    """Convert to Python's own types; None for NaN, with which tables say that there is none."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bytes):
        with suppress(UnicodeDecodeError):
            return value.decode()
    if isinstance(value, tuple):
        return list(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def sure(value: Any) -> Any:
    """The entry of a list, unless it is the reason why there is none, which is raised."""
    if isinstance(value, Unusable):
        raise value
    return plain(value)


def opened(value: Any) -> Any:
    """The same as ``plain``, but the text of a JSON list or object is read."""
    value = plain(value)
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def matches(wanted: Any, value: Any) -> bool:
    """Compare a value with the one that the YAML asks for, whichever of the two is text."""
    if wanted is None or value is None:
        return wanted is value
    if isinstance(wanted, bool):
        if isinstance(value, str):
            return value.strip().casefold() in BOOLEANS[wanted]
        return isinstance(value, int | float) and value == wanted
    if isinstance(value, bool):
        same_text = isinstance(wanted, str) and wanted.strip().casefold() == str(value).casefold()
        return same_text or bool(value == wanted)
    text = scalar(value)
    if isinstance(wanted, str):
        return text is not None and wanted in (text, str(value))
    return text is not None and text.strip() == scalar(wanted)


def is_content(value: Any) -> bool:
    """Tell the parts of one message, each with its type, from other lists."""
    entries = value if isinstance(value, list) else []
    typed = [isinstance(part, dict) and isinstance(part.get("type"), str) for part in entries]
    return bool(typed) and all(typed)


class _Short(reprlib.Repr):
    """Values in a message, not all of a long one, and of an object its keys alone."""

    def repr_dict(self, x: dict, level: int) -> str:
        return f"an object with the keys {', '.join(map(str, x)) or '(none)'}"


_short = _Short()
_short.maxlist, _short.maxstring, _short.maxother = 1, 60, 60
shown = _short.repr


NAME, ENTRY, INDEX = r"[^.\[\]]+", r"\[[^.=\[\]]+=[^\[\]]*\]", r"\[-?\d{1,6}\]"
PATH = re.compile(rf"{NAME}(?:\.{NAME}|{ENTRY}|{INDEX})*")
STEP = re.compile(
    rf"(?P<name>{NAME})|\[(?P<key>[^.=\[\]]+)=(?P<value>[^\[\]]*)\]|\[(?P<at>-?\d+)\]"
)


@cache
def steps(path: str) -> tuple[Step, ...]:
    """The steps of a path such as ``messages[role=user].content``, or a column's plain name."""
    if not PATH.fullmatch(path):
        return ({"name": path},)
    return tuple(match.groupdict() for match in STEP.finditer(path))


def find(row: dict, path: str, part: str) -> tuple[Any, list[Visit]]:
    """Follow a path to a value, and note the lists on the way; ``part`` is how reasons call it."""
    if path in row:
        return plain(row[path]), []
    value: Any = row
    place, visits = "", []
    for step in steps(path):
        value = opened(value)
        if (name := step["name"]) is not None:
            value = _member(value, name, place, part)
            place = f"{place}.{name}" if place else name
            continue
        entries = _entries(value, place, part)
        position = _position(entries, step, place, part)
        visits.append((place, entries, position, step["key"]))
        value = sure(entries[position])
        place += f"[{position}]" if step["at"] else f"[{step['key']}={step['value']}]"
    return plain(value), visits


def _member(value: Any, name: str, place: str, part: str) -> Any:
    """The member of an object by its name; of a list, that of each entry, or why it has none."""
    if not isinstance(value, list):
        return _member_of_one(value, name, place, part)
    members: list[Any] = []
    for entry in value:
        try:
            members.append(_member_of_one(opened(entry), name, f"{place}[]", part))
        except Unusable as reason:  # raised when this entry is read, not for the others
            members.append(reason)
    return members


def _member_of_one(value: Any, name: str, place: str, part: str) -> Any:
    value = sure(value)
    if value is None:
        raise Unusable(f"no_{part}", f"'{place}' holds nothing")
    if not isinstance(value, dict):
        raise Unusable(f"mistyped_{part}", f"'{place}' holds {shown(value)}, which has no '{name}'")
    if name not in value:
        holder = f"'{place}' is" if place else "the row is"
        raise Unusable(f"no_{part}", f"{holder} {shown(value)}, and has no '{name}'")
    return value[name]


def _entries(value: Any, place: str, part: str) -> list[Any]:
    if isinstance(value, dict) and value:
        # A list of objects as the library 'datasets' may store it: an object of lists.
        columns = {name: plain(column) for name, column in value.items()}
        lengths = {len(of) if isinstance(of, list) else None for of in columns.values()}
        if len(lengths) == 1 and None not in lengths:
            rows = zip(*columns.values(), strict=True)
            return [dict(zip(columns, row, strict=True)) for row in rows]
    if value is None:
        raise Unusable(f"no_{part}", f"'{place}' holds nothing")
    if not isinstance(value, list):
        raise Unusable(f"mistyped_{part}", f"'{place}' holds {shown(value)}, not a list")
    return value


def _position(entries: list[Any], step: Step, place: str, part: str) -> int:
    """The place, from the front, of the entry that a step goes to."""
    key, wanted = step["key"], step["value"]
    if step["at"] is not None:
        at = int(step["at"])
        if not -len(entries) <= at < len(entries):
            raise Unusable(f"no_{part}", f"'{place}' has {len(entries)} entries, none [{at}]")
        return at % len(entries)
    labels = []
    for entry in map(opened, entries):
        label = plain(entry.get(key)) if isinstance(entry, dict) else None
        if label is None:  # nobody knows whose turn it is
            raise Unusable(f"entry_without_{key}", f"an entry of '{place}' is {shown(entry)}")
        labels.append(label)
    found = [i for i, label in enumerate(labels) if matches(wanted, label)]
    if len(found) > 1:
        raise Unusable("several_turns", f"'{place}' has {len(found)} of {key}={wanted}")
    if not found:
        there = ", ".join(dict.fromkeys(map(shown, labels))) or "no entries"
        raise Unusable(f"no_{part}", f"'{place}' has as '{key}' {there}, not '{wanted}'")
    return found[0]


# In a student's vocabulary these are tokens of their own: they would end or nest a sequence.
MARKUP = re.compile(
    "|".join(sorted({re.escape(tag) for f in FORMATS.values() for tag in (f.open, f.close) if tag}))
    + r"|<\|[\w ]{1,60}\|>|<\uff5c[^<>\uff5c]{1,60}\uff5c>|</?s>|\[/?INST\]"
)

# Orders of opening (O) and closing (C) marks in a response that leave no single span, and the
# reasons. Whatever could be cut in two ways is refused: the shorter one would be a false length.
NO_SPAN = (
    ("O+", "unclosed_reasoning", "{open} stands there, and no {close}"),
    ("", "no_reasoning_span", "there is no {close} in {response}"),
    ("O?(CO)+C", "several_spans", "{close} ends more than one span"),
    ("O?CC+", "several_closing_tags", "{close} stands there {closings} times"),
    ("(?!O?C$).+", "stray_markup", "{open} stands inside the reasoning or the answer"),
)


@dataclass(frozen=True)
class Parts:
    """One trace, without any marks."""

    question: str
    reasoning: str
    answer: str
    reference: str | None  # the right answer
    without_reference: Unusable | None  # why the set does not tell it
    left_out: tuple[str, ...]  # who else spoke in the conversation, such as ``system``


def read_row(row: dict, settings: PublishedSettings) -> Iterator[Parts | Unusable]:
    """Read the traces of a row, as many as it has responses, each or the reason why it is none."""
    try:
        responses = _column(row, settings.response, "response", settings)
        number = len(responses) if _is_list(responses) and responses else 1
    except Unusable:
        number = 1  # and the reason is told below, unless the row is not asked for at all
    for index in range(number):
        try:
            yield _Entry(row, settings, index, number).trace()
        except Unusable as reason:
            yield reason


@dataclass(frozen=True)
class _Entry:
    """One response of a row of ``number``, and what the row has to it."""

    row: dict
    settings: PublishedSettings
    index: int
    number: int

    def trace(self) -> Parts:
        settings = self.settings
        for column, wanted in settings.where.items():
            try:
                value = self._value(column, "where")
            except Unusable as reason:
                if reason.reason != "no_where":
                    raise
                value = None
            if value is not None and scalar(value) is None:
                raise Unusable("mistyped_where", f"'{column}' holds {shown(value)}")
            if not matches(wanted, value):
                raise Unusable("other_rows", f"'{column}' is {shown(value)}, not {shown(wanted)}")
        question = self._text(settings.question, "question")
        # An answer apart from its reasoning may be a number.
        answer = self._text(settings.response, "response", settings.reasoning is not None)
        left_out = _left_out(self.row, settings)
        if settings.reasoning is None:
            span, answer = _cut(answer, settings.open, settings.close or "")
        else:
            span = self._text(settings.reasoning, "reasoning_span")
        for mark in settings.strip:
            answer = answer.replace(mark, "")
        if not answer.strip():
            raise Unusable("no_answer", f"'{settings.response}' holds nothing after the reasoning")
        for where, content in (("question", question), ("reasoning", span), ("answer", answer)):
            if mark_inside := MARKUP.search(content):
                raise Unusable("stray_markup", f"{mark_inside[0]} stands inside the {where}")
        try:
            reference, without = self._reference(), None
        except Unusable as reason:
            reference, without = None, reason
        return Parts(question.strip(), span.strip(), answer.strip(), reference, without, left_out)

    def _value(self, path: str, part: str) -> Any:
        """The value of this response, which may be that of all, but for its reasoning."""
        value, number = _column(self.row, path, part, self.settings), self.number
        if not _is_list(value):
            if part != "reasoning_span" or number == 1:
                return value
        elif not value:
            raise Unusable(f"no_{part}", f"'{path}' holds an empty list")
        elif len(value) == number:
            return sure(value[self.index])
        elif len(value) == 1 and part != "reasoning_span":
            return sure(value[0])
        raise Unusable("uneven_lists", f"'{path}' holds {shown(value)} beside {number} responses")

    def _text(self, path: str, part: str, numbers: bool = False) -> str:
        """Text, or parts of a message that are; with ``numbers`` any scalar."""
        value = self._value(path, part)
        if is_content(value):
            for entry in value:
                named = entry["type"] in ("text", "input_text", "output_text")
                if not (named and isinstance(entry.get("text"), str)):
                    raise Unusable("other_content", f"'{path}' has a part that is {shown(entry)}")
            value = "".join(entry["text"] for entry in value)
        text = scalar(value) if numbers else value
        if value is None or (isinstance(text, str) and not text.strip()):
            raise Unusable(
                f"no_{part}", f"'{path}' holds {'nothing' if value is None else 'no words'}"
            )
        if not isinstance(text, str):
            raise Unusable(f"mistyped_{part}", f"'{path}' holds {shown(value)}, not text")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unusable("broken_characters", f"'{path}' holds half of a character") from None
        return text

    def _reference(self) -> str | None:
        """The right answer; None without a column. Of a long text it must be marked."""
        path = self.settings.reference
        if path is None:
            return None
        text = self._text(path, "reference", numbers=True)
        answer = reference_answer(text)
        if answer is None:
            found = f"'{path}' holds {shown(text)}, without a box or {HASHES}"
            raise Unusable("no_reference", found)
        return answer


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and not is_content(value)


def _column(row: dict, path: str, part: str, settings: PublishedSettings) -> Any:
    """The value in a row, for all of its traces; a JSON list that was stored as text is a list.

    An answer apart from its reasoning may be such text, and a reference unless it lists texts.
    """
    value, _ = find(row, path, part)
    texts = opened(value)
    if part == "reference":
        return texts if _is_list(texts) and all(isinstance(one, str) for one in texts) else value
    apart = part == "response" and bool(settings.reasoning)
    return value if apart or part == "where" else texts


def _left_out(row: dict, settings: PublishedSettings) -> tuple[str, ...]:
    """The other speakers in the list that holds both question and response."""
    _, asked = find(row, settings.question, "question")
    _, said = find(row, settings.response, "response")
    if not asked or not said or asked[0][0] != said[0][0]:
        return ()
    (place, entries, first, key), (_, _, last, _) = asked[0], said[0]
    if last - first not in (0, 1):  # it answers something else too, such as a tool
        found = f"in '{place}' the response is entry {last}, the question {first}"
        raise Unusable("not_adjacent", found)
    if key is None:
        return ()
    others = [opened(entry) for i, entry in enumerate(entries) if i not in (first, last)]
    return tuple(str(scalar(plain(entry[key]))) for entry in others)


def _cut(response: str, opening: str | None, closing: str) -> tuple[str, str]:
    """Span and answer of a response that begins with its span, whether or not it is opened."""
    marks = [re.escape(mark) for mark in (closing, opening) if mark]
    found = re.findall("|".join(marks), response)
    order = "".join("C" if mark == closing else "O" for mark in found)
    for pattern, reason, sentence in NO_SPAN:
        if re.fullmatch(pattern, order):
            facts = {"open": opening, "close": closing, "closings": order.count("C")}
            raise Unusable(reason, sentence.format(**facts, response=shown(response)))
    span, _, answer = response.partition(closing)
    if order == "OC":
        before, _, span = span.partition(opening or "")
        if before.strip():
            raise Unusable("text_before_reasoning", f"{shown(before)} stands before {opening}")
    if not span.strip():
        raise Unusable("empty_reasoning", f"nothing stands before {closing}")
    return span, answer


def open_set(settings: PublishedSettings) -> tuple[str | None, Iterator[Any]]:
    """The commit that is read (None for a file), and seeded rows; JSON lines come as bytes."""
    from datasets import IterableDataset, load_dataset
    from huggingface_hub import HfApi

    path, revision = Path(settings.dataset), None
    is_json = path.suffix in (".jsonl", ".json")
    try:
        if (is_json or path.suffix == ".parquet") and not path.is_file():
            raise UserError(f"{path}: no such file")
        if path.suffix == ".parquet":
            rows = load_dataset("parquet", data_files=str(path), split="train", streaming=True)
        elif is_json:
            # Not by the library, which guesses types: it makes dates of texts, and one row of
            # another type than the first ones ends the file.
            rows = IterableDataset.from_generator(_json, gen_kwargs={"path": str(path)})
        else:
            which = {"revision": settings.revision, "split": settings.split}
            rows = load_dataset(settings.dataset, settings.subset, streaming=True, **which)
            # A branch moves; what is recorded is the commit it points to now.
            revision = HfApi().dataset_info(settings.dataset, revision=settings.revision).sha
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise UserError(f"{settings.dataset}: cannot be opened: {why}") from None
    if settings.shuffle_buffer:
        rows = rows.shuffle(seed=settings.seed, buffer_size=settings.shuffle_buffer)
    rows = rows if settings.limit is None else rows.take(settings.limit)
    return revision, _until_it_breaks(rows, settings)


def _json(path: str) -> Iterator[dict]:
    """Every line of a file as bytes, or every entry of the one list that it holds."""
    if path.endswith(".json"):
        with suppress(ValueError, RecursionError):  # else it holds lines, read one by one
            content = json.loads(Path(path).read_bytes())
            rows = content if isinstance(content, list) else [content]
            yield from ({"row": row} for row in rows)
            return
    with open(path, "rb") as file:
        yield from ({"row": line} for line in file if line.strip())


def _until_it_breaks(rows: Iterable[dict], settings: PublishedSettings) -> Iterator[Any]:
    from datasets.exceptions import DatasetsError
    from pyarrow import ArrowException

    number = 0
    try:
        for row in rows:
            number += 1
            yield row["row"] if settings.dataset.endswith((".jsonl", ".json")) else row
    except (OSError, ValueError, ArrowException, DatasetsError) as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"{settings.dataset}: breaks off after {number} rows: {why}; run the same command "
            "again, or download the set again"
        ) from None


def as_row(content: Any) -> dict:
    """A row that is an object, or the text of one."""
    if isinstance(content, bytes):
        try:
            content = json.loads(content.removeprefix(b"\xef\xbb\xbf").decode())
        except (ValueError, RecursionError):
            raise Unusable("not_json", f"the line is {shown(content.strip())}") from None
    if not isinstance(content, dict):
        raise Unusable("mistyped_row", f"the row is {shown(content)}, not an object")
    return content


def check_columns(known: Collection[str], settings: PublishedSettings) -> None:
    """Stop where no row has a column that the YAML names; ``known`` are those that rows had."""
    parts = (settings.question, settings.response, settings.reasoning, settings.reference)
    for path in [*settings.where, *parts]:
        if known and path is not None and path not in known and steps(path)[0]["name"] not in known:
            raise UserError(
                f"{settings.dataset}: there is no column '{path}'; the set has: "
                f"{', '.join(known)}; correct the YAML"
            )
