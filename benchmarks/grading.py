"""Grading a mixed corpus of mathematics answers against math-verify alone.

    python benchmarks/grading.py

The corpora are made here, the same every time: 300 problems with four responses each, a paragraph
of reasoning and an answer. Kinds: 60 % integers, 12 % fractions, 12 % expressions in LaTeX,
4 % decimals, 4 % words, 3 % intervals, 3 % pairs, 2 % sets. Six of ten responses are right, a
quarter of these in another notation; 93 % have a box, the others say the answer in a sentence, two
thirds of them with the word 'answer'. Both graders get the same reference and the whole response.
CPU seconds include those of the worker that compares what is not plain; both have graded something
before.
"""

import argparse
import logging
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import psutil
from math_verify import parse, verify
from measure import Result, ratio, table

from handan.tasks import mathematics
from handan.tasks.final_answers import final_answers
from handan.tasks.mathematics import Pool

PROBLEMS, RESPONSES = 300, 4
KINDS = {
    "integer": 60,
    "fraction": 12,
    "expression": 12,
    "decimal": 4,
    "word": 4,
    "interval": 3,
    "pair": 3,
    "set": 2,
}
RIGHT, OTHER_NOTATION, BOXED = 0.6, 0.25, 0.93
# Documented in docs/traces.md: a full stop at the end of a box belongs to the sentence.
STOP_IN_BOX = ".}"
WORDS = ("even", "odd", "Monday", "Evelyn", "no", "ellipse", "parabola", "(A)", "(C)", "(E)")
REASONING = (
    "We begin with what is given. Let $x$ be the number that is sought, so that $3x + 4 = 19$ "
    "and hence $x = 5$; the second condition then says that $y = x^2 - 2x + 1 = 16$. Adding both "
    "and simplifying, we find that the two cases differ only in sign, and one of them is not "
    "possible because lengths are positive.\n\n"
)


class Answer(NamedTuple):
    """An answer in the notation of the reference and in another one."""

    usual: str
    other: str


def integer(rng: random.Random) -> Answer:
    value = rng.choice((rng.randint(-20, 60), rng.randint(1, 5000)))
    return Answer(str(value), rng.choice((f"${value}$", f"{value}.", f"{value:,}", f"{value}.0")))


def fraction(rng: random.Random) -> Answer:
    value = Fraction(rng.randint(1, 40), rng.randint(2, 25))
    sign = "-" if rng.random() < 0.15 else ""
    a, b = value.numerator, value.denominator
    others = (
        f"{sign}\\dfrac{{{a}}}{{{b}}}",
        f"{sign}{a}/{b}",
        f"{sign}\\frac{{{3 * a}}}{{{3 * b}}}",
    )
    return Answer(f"{sign}\\frac{{{a}}}{{{b}}}", rng.choice(others))


def decimal(rng: random.Random) -> Answer:
    value = f"{rng.uniform(0, 50):.2f}"
    return Answer(value, f"{value}0")


def expression(rng: random.Random) -> Answer:
    a, b, c = rng.randint(2, 9), rng.choice((2, 3, 5, 6, 7)), rng.randint(2, 12)
    return rng.choice(
        (
            Answer(f"{a}\\sqrt{{{b}}}", f"{a} \\sqrt {b}"),
            Answer(f"{a}\\pi", f"\\pi \\cdot {a}"),
            Answer(f"x^2+{a}x-{c}", f"x^2 - {c} + {a}x"),
            Answer(f"\\frac{{{a}\\sqrt{{{b}}}}}{{{c}}}", f"\\frac{{{a}}}{{{c}}}\\sqrt{{{b}}}"),
            Answer(f"{c}+{a}i", f"{a}i + {c}"),
            Answer(f"2^{{{c}}}", str(2**c)),
            Answer(f"(x-{a})(x+{c})", f"(x+{c})(x-{a})"),
        )
    )


def word(rng: random.Random) -> Answer:
    text = rng.choice(WORDS)
    return Answer(f"\\text{{{text}}}", f"\\text{{ {text} }}")


def _two(rng: random.Random) -> tuple[int, int]:
    low = rng.randint(-9, 9)
    return low, low + rng.randint(1, 9)


def interval(rng: random.Random) -> Answer:
    low, high = _two(rng)
    left, right = rng.choice(("()", "[]", "[)", "(]"))
    return Answer(f"{left}{low},{high}{right}", f"\\left{left}{low}, {high}\\right{right}")


def pair(rng: random.Random) -> Answer:
    low, high = _two(rng)
    return Answer(f"({high},{low})", f"\\left( {high}, {low} \\right)")


def collection(rng: random.Random) -> Answer:
    low, high = _two(rng)
    return Answer(f"\\{{{low},{high}\\}}", f"\\{{{high}, {low}\\}}")


MAKERS: dict[str, Callable[[random.Random], Answer]] = {
    "integer": integer,
    "fraction": fraction,
    "expression": expression,
    "decimal": decimal,
    "word": word,
    "interval": interval,
    "pair": pair,
    "set": collection,
}


class Case(NamedTuple):
    """A response with its reference."""

    kind: str
    reference: str
    response: str


def corpus(seed: int) -> list[Case]:
    """All cases, in an order of their own."""
    rng = random.Random(seed)
    cases = []
    for _ in range(PROBLEMS):
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        reference = MAKERS[kind](rng)
        # Those who are wrong are often wrong in the same way.
        usual_mistake = MAKERS[kind](rng).usual
        for _ in range(RESPONSES):
            if rng.random() < RIGHT:
                said = reference.other if rng.random() < OTHER_NOTATION else reference.usual
            else:
                said = usual_mistake if rng.random() < 0.5 else MAKERS[kind](rng).usual
            sentence = f"The answer is $\\boxed{{{said}}}$."
            if rng.random() >= BOXED:
                words = rng.choice(("The answer is", "The answer is", "Hence we obtain"))
                sentence = f"{words} ${said.strip('$')}$."
            cases.append(Case(kind, reference.usual, REASONING + sentence))
    rng.shuffle(cases)
    return cases


def alone(case: Case) -> bool:
    """Whether math-verify by itself takes the response for right, called as its manual says."""
    return bool(verify(parse(f"${case.reference}$"), parse(case.response)))


class Counted(Pool):
    """A pool of one worker that counts what comes to it."""

    asked = 0

    def same(self, reference: str, answer: str) -> bool | None:
        self.asked += 1
        return super().same(reference, answer)

    def cpu_seconds(self) -> float:
        """Of its worker so far."""
        worker = self.idle.get()
        self.idle.put(worker)
        assert worker is not None
        times = psutil.Process(worker.pid).cpu_times()
        return float(times.user + times.system)


def graded(cases: list[Case], pool: Counted) -> tuple[float, list[str]]:
    """CPU seconds of this process and the worker, and the outcomes."""
    before = time.process_time() + pool.cpu_seconds()
    outcomes = [mathematics.judge(case.reference, case.response, pool)[0] for case in cases]
    return time.process_time() + pool.cpu_seconds() - before, outcomes


def main() -> None:
    """Grade with both, in turn; print the shares, the times and every disagreement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    logging.disable(logging.CRITICAL)
    pool = Counted(size=1)
    # The first answer of a kind makes sympy load what it needs.
    first = corpus(0)
    pool.same("1", "x")
    graded(first[::2], pool)
    for case in first[::4]:
        alone(case)
    cases: list[Case] = []
    outcomes: list[str] = []
    verdicts: list[bool] = []
    ours, theirs = [], []
    pool.asked = 0
    for seed in range(1, runs + 1):
        new = corpus(seed)  # both would remember what they have parsed
        cases += new
        seconds, found = graded(new, pool)
        ours.append(seconds)
        outcomes += found
        started = time.process_time()
        verdicts += [alone(case) for case in new]
        theirs.append(time.process_time() - started)
    asked = pool.asked
    pool.close()
    exact = Counter(
        case.kind
        for case in cases
        if all(
            mathematics.same_answer(case.reference, said) is not None
            for said in final_answers(case.response) or ()
        )
    )
    of_kind = Counter(case.kind for case in cases)
    rows = [
        (kind, of_kind[kind], f"{exact[kind] / of_kind[kind]:.0%}")
        for kind in sorted(of_kind, key=lambda kind: -of_kind[kind])
    ]
    rows.append(("all", len(cases), f"{exact.total() / len(cases):.0%}"))
    table(("answers", "responses", "decided exactly"), rows)
    each = [statistics.median(seconds) / len(new) * 1e3 for seconds in (ours, theirs)]
    table(
        ("grader", "CPU ms a response"),
        [("handan", f"{each[0]:.2f}"), ("math-verify", f"{each[1]:.2f}")],
    )
    print(f"{asked} of {len(cases)} responses went to math-verify's worker\n")
    differ = [
        (case, outcome, verdict)
        for case, outcome, verdict in zip(cases, outcomes, verdicts, strict=True)
        if (outcome == "correct") != verdict
    ]
    known = [of for of in differ if STOP_IN_BOX in of[0].response and of[1] == "correct"]
    print(
        f"{len(known)} right answers have a full stop in the box, which math-verify does not read; "
        f"{len(differ) - len(known)} other disagreements\n"
    )
    for case, outcome, verdict in differ:
        if (case, outcome, verdict) not in known:
            said = case.response.removeprefix(REASONING)
            print(f"{case.reference} | {said} | handan: {outcome}, math-verify: {verdict}")
    times = ratio(theirs, ours)
    Result("grading", "math-verify alone", ">= 10x", f"{times:.1f}x", times >= 10).tell()
    undocumented = len(differ) - len(known)
    Result(
        "grading: disagreements that are not documented",
        f"math-verify, {len(cases)} responses",
        "0",
        str(undocumented),
        undocumented == 0,
    ).tell()


if __name__ == "__main__":
    main()
