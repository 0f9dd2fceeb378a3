"""Worked solutions of the human tasks' problems, and the manners in which they are written.

In ``carry-cost`` a problem takes a step more for every carry, borrow, partial product, move along
an axis, rejected conclusion; in ``constant`` it takes as many words whatever these are; in
``mixed`` each part is one or the other, or only its result, at random. Styles never look at how
hard a problem is.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from handan.config import read_yaml
from handan.errors import UserError
from handan.tasks import syllogisms
from handan.tasks.answers import TIMES
from handan.tasks.base import Item, base_task
from handan.tasks.binary import OPERATIONS
from handan.tasks.directions import STEPS
from handan.tasks.syllogisms import Kind, Statement

FORMATS = ("carry-cost", "constant", "mixed")
Step = list[str]  # its words
Part = tuple[list[Step], Step]  # its graded steps, perhaps none, and its constant one
# Digits of a column of a written addition or subtraction, carry in, digit below, carry out.
Column = tuple[str, str, int, int, int]


def in_format(parts: list[Part], trace_format: str, rng: random.Random) -> list[Step]:
    """Return the steps of a solution in one of ``FORMATS``."""
    steps = []
    for graded, constant in parts:
        if trace_format == "carry-cost" or graded == [constant]:
            steps += graded
        elif trace_format == "mixed" and rng.random() < 0.5:
            steps.append(["=", constant[-1]])
        else:
            steps.append(constant)
    return steps


def columns(operator: str, left: str, right: str, base: int) -> list[Column]:
    """Add or subtract two numbers of equal width, least significant digit first."""
    found, carry = [], 0
    for x, y in zip(reversed(left), reversed(right), strict=True):
        total = int(x) + int(y) + carry if operator == "+" else int(x) - int(y) - carry
        carry_out = int(not 0 <= total < base)
        found.append((x, y, carry, total % base, carry_out))
        carry = carry_out
    return found


def column_parts(operator: str, written: list[Column]) -> list[Part]:
    """Return the solution of a written addition or subtraction, a part for each column."""
    parts: list[Part] = []
    for x, y, carry, digit, carry_out in written:
        carried = [operator, "1"] if carry else []
        graded = [[x, operator, y, *carried, "=", str(digit)]]
        if carry_out:
            graded.append(["carry" if operator == "+" else "borrow", "1"])
        constant = [x, operator, y, operator, str(carry), "=", str(carry_out), str(digit)]
        parts.append((graded, constant))
    return parts


def same(*words: str) -> Part:
    """Return a part that takes one step in either format."""
    return [list(words)], list(words)


def _sum_or_difference(operator: str, left: str, right: str, base: int) -> list[Part]:
    """Copy the digits from the right, then work column by column."""
    width = max(len(left), len(right))
    left, right = left.zfill(width), right.zfill(width)
    copied = same("from", "the", "right", left[::-1], operator, right[::-1])
    return [copied, *column_parts(operator, columns(operator, left, right, base))]


def _binary(item: Item) -> list[Part]:
    operation = OPERATIONS[base_task(item)]
    left, right = item.key.split(operation.symbol)
    if operation.symbol in "+-":
        return _sum_or_difference(operation.symbol, left, right, base=2)
    a, b = int(left, 2), int(right, 2)
    result = f"{operation.result(a, b):b}"
    return [*(_shifts(a, right) if operation.symbol == "*" else _division(left, b)), same(result)]


def _shifts(a: int, right: str) -> Iterator[Part]:
    """Add shifted copies of ``a``, one for each 1 of ``right``."""
    total = 0
    for place, bit in enumerate(reversed(right)):
        copy = int(bit) * a << place
        added = [f"{total:b}", "+", f"{copy:b}", "=", f"{total + copy:b}"]
        graded = [[bit, "at", str(place), "gives", f"{copy:b}"]] if copy else []
        yield graded + ([added] if copy and total else []), added
        total += copy


def _division(left: str, b: int) -> Iterator[Part]:
    """Bring down one digit after the other, and subtract ``b`` where it fits."""
    rest = 0
    for bit in left:
        rest = 2 * rest + int(bit)
        fits = rest >= b
        taken = [f"{rest:b}", "-", f"{b * fits:b}", "=", f"{rest - b * fits:b}"]
        yield [taken, ["write", "1"]] if fits else [[f"{rest:b}", "<", f"{b:b}"]], taken
        rest -= b * fits


def _product(item: Item) -> Iterator[Part]:
    """Add the products of the digits at their places, and compare with what is shown."""
    problem, shown = item.key.split("=")
    left, right = problem.split("*")
    total = 0
    for i, x in enumerate(left):
        for j, y in enumerate(right):
            p, q = int(x) * 10 ** (len(left) - 1 - i), int(y) * 10 ** (len(right) - 1 - j)
            multiplied = [str(p), TIMES, str(q), "=", str(p * q)]
            added = [str(total), "+", str(p * q), "=", str(total + p * q)]
            graded = ([multiplied] if p * q else []) + ([added] if p * q and total else [])
            yield graded, [*multiplied, "and", *added]
            total += p * q
    yield same("result", str(total), "shown", shown)


def _difference(item: Item) -> list[Part]:
    problem, shown = item.key.split("=")
    left, right = problem.split("-")
    result = str(int(left) - int(right))
    worked = _sum_or_difference("-", left, right, base=10)
    return [*worked, same("result", result, "shown", shown)]


def _walk(item: Item) -> Iterator[Part]:
    """Walk from the first place to the last, against the premises, one axis after the other."""
    position, axes = [0, 0], (("east", "west"), ("north", "south"))
    for direction in item.key.split("+"):
        graded, constant = [], []
        for axis in (1, 0):
            step = -STEPS[direction][axis]
            position[axis] += step
            place = [axes[axis][position[axis] < 0], str(abs(position[axis]))]
            if step:
                graded.append([axes[axis][step < 0], "to", *place])
            constant += place
        yield graded, constant


def _individual(kind: Kind, terms: dict[str, str]) -> list[str]:
    """Say what one individual is, in the singular."""
    return ["one", *" and ".join(terms[term][:-1] for term in sorted(kind)).split()]


def _conclusions(item: Item) -> Iterator[Part]:
    """Refute one conclusion after the other by a model of the premises, until there is none."""
    terms, premises = syllogisms.terms_of(item.key), syllogisms.premises_of(item.key)
    models = [syllogisms.find_model(premises) or []]
    people = [_individual(kind, terms) for kind in models[0]]
    yield people, [word for person in people for word in person]
    found = False
    for conclusion in syllogisms.offered_conclusions(item.key):
        asked, steps = [*syllogisms.sentence(conclusion, terms).split(), "?"], []
        follows = all(syllogisms.holds(conclusion, model) for model in models)
        if follows and (other := _refuting(premises, conclusion)):
            models.append(other)
            steps = [_individual(kind, terms) for kind in other]
            follows = False
        verdict = "yes" if follows else "no"
        yield ([] if found else [asked, *steps, [verdict]]), [*asked, verdict]
        found = found or follows


def _refuting(premises: Sequence[Statement], conclusion: Statement) -> list[Kind] | None:
    return syllogisms.find_model((*premises, syllogisms.opposite(conclusion)))


def _verification(item: Item) -> Iterator[Part]:
    """Look for a model of the premises and the opposite of the conclusion."""
    code, _, conclusion = item.key.rpartition(":")
    terms = syllogisms.terms_of(code)
    statements = [*syllogisms.premises_of(code), syllogisms.opposite(conclusion)]
    names = [*map(str, range(1, len(statements))), "the opposite"]
    impossible = False
    for demand in syllogisms.demands(statements):
        steps = []
        for kind in syllogisms.meeting(demand, statements):
            against = _against(kind, statements, names)
            steps.append([*_individual(kind, terms), *against])
            if against == ["possible"]:
                break
        yield ([] if impossible else steps), steps[-1]
        impossible = impossible or steps[-1][-1] != "possible"


def _against(kind: Kind, statements: Sequence[Statement], names: Sequence[str]) -> list[str]:
    """Say which statement forbids such an individual, if any does."""
    found = zip(statements, names, strict=True)
    name = next((n for s, n in found if syllogisms.forbids(s, kind)), None)
    return ["possible"] if name is None else ["against", *name.split()]


SOLVERS: dict[str, Callable[[Item], Iterator[Part] | list[Part]]] = {
    **dict.fromkeys(OPERATIONS, _binary), "products": _product, "differences": _difference,
    "cardinal_directions": _walk, "syllogisms": _conclusions,
    "syllogism_verification": _verification,
}  # fmt: skip


def worked_steps(item: Item, trace_format: str, rng: random.Random) -> list[Step]:
    """Return the solution of a problem of a human task, in one of ``FORMATS``."""
    parts = list(SOLVERS[base_task(item)](item))
    return in_format(parts, trace_format, rng)


def right_answer(item: Item) -> str:
    """Return the answer that the worked steps lead to: of several, the first one."""
    return item.answer.split(" | ")[0]


def analytic_cost(item: Item) -> float:
    """Return the number of steps of the graded solution."""
    return float(len(worked_steps(item, "carry-cost", random.Random(0))))


# Beside digits, which many tokenizers take one by one, a space is a token of its own.
SPACED = re.compile(rf"(?<=\d) ([-+={TIMES}<]) (?=\d)")
# Wording of the verbose style by dialect: phrases, for each part of a trace.
DIALECTS = read_yaml(Path(__file__).with_name("dialects.yaml"))


@dataclass(frozen=True)
class TraceStyle:
    """Manner of writing traces; rates of zero switch a habit off."""

    format: str  # of the steps, one of ``FORMATS``
    direct: float  # share of answers without any reasoning
    concise: float  # of traces that hold the steps and nothing else
    verbose: float  # of those with an opening, fillers, slips and re-checks
    dialect: str = "plain"  # wording of the verbose style
    filler_rate: float = 0.5  # chance of a filler before a step
    slip_rate: float = 0.05  # chance that a step is first written wrongly
    recheck_rate: float = 0.4  # chance of a re-check when nothing was wrong


def check_style(style: TraceStyle, place: str) -> TraceStyle:
    """The same style, once no knob has an impossible value."""
    for key, known in {"format": FORMATS, "dialect": DIALECTS}.items():
        if (value := getattr(style, key)) not in known:
            raise UserError(f"{place}: {key} '{value}' is not known; use {', '.join(known)}")
    for key in ("direct", "concise", "verbose", "filler_rate", "slip_rate", "recheck_rate"):
        if not 0 <= getattr(style, key) <= 1:
            raise UserError(f"{place}: {key} is {getattr(style, key)}; it is a share, 0 to 1")
    if not style.direct + style.concise + style.verbose > 0:
        raise UserError(f"{place}: give direct, concise or verbose a share above 0")
    return style


def _slip(rng: random.Random, step: list[str]) -> list[str]:
    """The step with its last digit or name wrong."""
    places = [i for i, word in enumerate(step) if word.isdigit() or word.isupper()]
    if not places:
        return step
    place, word = places[-1], step[places[-1]]
    pool = "01" if not word.strip("01") else "0123456789" if word.isdigit() else "ABCDEFGH"
    wrong = word[:-1] + rng.choice([character for character in pool if character != word[-1]])
    return [*step[:place], wrong, *step[place + 1 :]]


def sentence_of(words: list[str]) -> str:
    """Write the words of a trace as natural text, its sums without spaces."""
    text = " ".join(words).replace(" ,", ",").replace(" ?", "?").removesuffix(",")
    return SPACED.sub(r"\1", text)


def concise_words(steps: list[list[str]]) -> list[str]:
    """The steps one after the other, a comma after each."""
    return [word for step in steps for word in (*step, ",")]


def trace_words(steps: list[list[str]], style: TraceStyle, rng: random.Random) -> list[str]:
    """Words between the thinking tags for a worked solution in a randomly drawn manner."""
    manners = ("direct", "concise", "verbose")
    manner = rng.choices(manners, (style.direct, style.concise, style.verbose))[0]
    if manner == "direct":
        return []
    if manner == "concise":
        return concise_words(steps)
    words, wrong = DIALECTS[style.dialect], False
    out = rng.choice(words["opening"]).split()
    for step in steps:
        if rng.random() < style.filler_rate:
            out += rng.choice(words["filler"]).split()
        if rng.random() < style.slip_rate:
            out += [*_slip(rng, step), ","]
            if rng.random() < 0.5:
                out += words["slip"][0].split()
            else:
                wrong = True  # goes on, and finds it in the re-check
                continue
        out += [*step, ","]
    verdicts = ["no"] if wrong else []
    if wrong or rng.random() < style.recheck_rate:
        verdicts.append("ok")
    for verdict in verdicts:
        out += [*rng.choice(words["recheck"]).split(), *concise_words(steps), verdict]
    return out
