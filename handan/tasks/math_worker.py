"""The process that compares answers symbolically, and that may die doing so.

    python -m handan.tasks.math_worker CPU_SECONDS WALL_SECONDS MEMORY_GIB

Reads a JSON list ``[reference, answer]`` and writes a verdict a line. A power tower such as 9^9^9
keeps sympy busy in C code that no exception reaches: timers of the system end the process.
"""

import json
import logging
import os
import resource
import signal
import sys
from fractions import Fraction
from functools import partial
from typing import Any

import math_verify.parser
from latex2sympy2_extended import NormalizationConfig
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify
from sympy import Expr, Float, I, Rational

from handan.tasks.equivalence import plain_number, rounds, squeezed

# Capital letters are other letters.
math_verify.parser.latex2sympy = partial(
    latex2sympy, conversion_config=ConversionConfig(lowercase_symbols=False)
)
# Units are dropped before, and only where they are units.
NOTATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
)
EXTRACTED = (LatexExtractionConfig(normalization_config=NOTATION), ExprExtractionConfig())
# Values of letters: positive ones, and some of both signs. Equal means equal in all these digits.
POINTS = ((7, 11, 13, 17, 19, 23), (5, -9, 25, -27, 35, -37), (-3, 31, -41, 43, -47, 53))
DIGITS, EXACT, WITH_DECIMALS = 60, Float("1e-40"), Float("1e-12")
TIMERS = {signal.ITIMER_PROF: signal.SIGPROF, signal.ITIMER_REAL: signal.SIGALRM}


def same(reference: str, answer: str) -> bool | None:
    """Compare two answers by values at a few points, or by math-verify; None where memory ends."""
    boxed = (f"\\boxed{{{text}}}" for text in (reference, answer))
    right, given = (parse(text, EXTRACTED, parsing_timeout=None) for text in boxed)
    if not right or not given:
        return False
    how = {"numeric_precision": DIGITS, "timeout_seconds": None, "allow_set_relation_comp": True}
    compare = partial(verify, right, given, **how)
    try:
        found = same_values(right[0], given[0], reference, str(given[-1]))
        return compare(raise_on_error=True) if found is None else found
    except (MemoryError, RecursionError):
        return None
    except Exception:
        # sympy has no opinion on this pair; math-verify's own rule is to try the others.
        return compare(raise_on_error=False)


def same_values(right: Any, given: Any, *written: str) -> bool | None:
    """Tell whether two expressions agree where both are real; None if they are no expressions."""
    if not isinstance(right, Expr) or not isinstance(given, Expr):
        return None
    decimals = [plain_number(squeezed(text)) for text in written]
    # Symbols called i are the imaginary unit, whatever math-verify took them for.
    right, given = (
        of.subs([(s, I) for s in of.free_symbols if s.name == "i"]).doit() for of in (right, given)
    )
    names = sorted({symbol.name for symbol in right.free_symbols | given.free_symbols})
    imaginary = not names or right.has(I) or given.has(I)
    close = WITH_DECIMALS if right.has(Float) or given.has(Float) else EXACT
    compared = False
    for point in POINTS if names else POINTS[:1]:
        at = {name: Rational(point[i % 6] * (i // 6 + 1), 29) for i, name in enumerate(names)}
        exact = [of.subs([(s, at[s.name]) for s in of.free_symbols]) for of in (right, given)]
        values = [of.evalf(DIGITS) for of in exact]
        if not all(of.is_number and of.is_finite for of in values):
            return None
        if not imaginary and not all(of.is_real for of in values):
            continue
        compared = True
        if all(of.is_Rational for of in exact):
            equal = exact[0] == exact[1]
        else:
            equal = abs(values[0] - values[1]) <= close * max(abs(of) for of in values)
        if equal:
            continue
        for decimal, other in zip(decimals, values[::-1], strict=True):
            if decimal and decimal.unit and other.is_real and not names:
                return rounds(Fraction(str(other)), decimal)
        return False
    return compared or None


def main() -> None:
    """Answer lines until there are no more, every one within the limits."""
    limits = dict(zip(TIMERS, map(float, sys.argv[1:3]), strict=True))
    memory = int(float(sys.argv[3]) * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # Signals that a parent ignores or blocks would stay so in this process.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TIMERS.values())
    for number in TIMERS.values():
        signal.signal(number, signal.SIG_DFL)
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    same("\\frac{1}{2}", "0.5")  # the first parse builds tables
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        for timer, seconds in limits.items():
            signal.setitimer(timer, seconds)
        verdict = same(*json.loads(line))
        for timer in limits:
            signal.setitimer(timer, 0)
        print(json.dumps(verdict), file=answers, flush=True)


if __name__ == "__main__":
    main()
