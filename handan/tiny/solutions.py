"""Styles of the embedded world's traces, which never look at how hard a problem is."""

import random
from dataclasses import dataclass

from handan.errors import UserError
from handan.tiny.families import FORMATS

# Wording of the verbose style: phrases to choose from, and the word that admits a slip.
DIALECTS = {
    "plain": {
        "opening": [["ok", "let", "me", "check"], ["so"], ["now"], ["ok", "now"]],
        "filler": [["next"], ["now", "so"], ["ok"], ["so"]],
        "recheck": [["let", "me", "check", "again"], ["check", "again"]],
        "slip": [["again"]],
    },
    "hesitant": {
        "opening": [["hmm", "well", "first"], ["well", "let", "me", "check"], ["hmm"], ["wait"]],
        "filler": [["well"], ["hmm"], ["hmm", "let", "me", "check"], ["first", "well"]],
        "recheck": [["wait", "check", "again"], ["hmm", "wait", "again"]],
        "slip": [["wait"]],
    },
}


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
    place = places[-1]
    pool = "01" if step[place] in "01" else "0123456789" if step[place].isdigit() else "ABCDEFGH"
    return [*step[:place], rng.choice([w for w in pool if w != step[place]]), *step[place + 1 :]]


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
    out = list(rng.choice(words["opening"]))
    for step in steps:
        if rng.random() < style.filler_rate:
            out += rng.choice(words["filler"])
        if rng.random() < style.slip_rate:
            out += [*_slip(rng, step), ","]
            if rng.random() < 0.5:
                out += words["slip"][0]
            else:
                wrong = True  # goes on, and finds it in the re-check
                continue
        out += [*step, ","]
    verdicts = ["no"] if wrong else []
    if wrong or rng.random() < style.recheck_rate:
        verdicts.append("ok")
    for verdict in verdicts:
        out += [*rng.choice(words["recheck"]), *concise_words(steps), verdict]
    return out
