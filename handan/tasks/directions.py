"""Where is C of A, if A is d1 of B and B is d2 of C? All 64 pairs of compass directions.

The pairs of Ragni (2018), where people chose among eight directions. The key adds steps on a grid;
eight items have no human accuracy: C is at the place of A, which was no option.
"""

import random
import re
from itertools import pairwise, product, starmap

from handan.tasks.answers import Stated, before, grader
from handan.tasks.base import Item, Task
from handan.tasks.wording import (
    FRESH_PLACES,
    PLACES,
    TWO_PREMISES,
    in_both_orders,
    three_terms,
    worded,
)

# Clockwise, as (steps east, steps north).
STEPS = {
    "north": (0, 1), "north-east": (1, 1), "east": (1, 0), "south-east": (1, -1),
    "south": (0, -1), "south-west": (-1, -1), "west": (-1, 0), "north-west": (-1, 1),
}  # fmt: skip
SAME_PLACE = "same place"
DIRECTIONS = list(STEPS)
PAIRS = list(product(DIRECTIONS, DIRECTIONS))


def direction_key(*directions: str) -> str:
    """Return the key of an item, e.g. ``north+south-east``: the directions of its premises."""
    return "+".join(directions)


def direction_of_c(*directions: str) -> str:
    """Return the direction of the last place from the first: of C from A, if A is north of B ..."""
    totals = map(sum, zip(*(STEPS[direction] for direction in directions), strict=True))
    back = tuple((total < 0) - (total > 0) for total in totals)
    return next((direction for direction, step in STEPS.items() if step == back), SAME_PLACE)


def terms_of(*directions: str) -> tuple[str, ...]:
    """Return the places A, B, C ... of an item: neutral, and fixed by its key."""
    if len(directions) == 2:
        return three_terms(PLACES, PAIRS.index(directions))
    rng = random.Random(direction_key(*directions))
    return tuple(rng.sample(FRESH_PLACES, len(directions) + 1))


def make_item(*directions: str) -> Item:
    """Make the item with premises 'A is north of B', 'B is east of C' and so on."""
    places, answer = terms_of(*directions), direction_of_c(*directions)
    premises = zip(places, directions, places[1:], strict=False)
    question = (
        "\n".join(f"The {a} is {direction} of the {b}." for a, direction, b in premises) + "\n\n"
        "The places lie on a grid. Places named together are one step apart, and a diagonal step "
        "goes one step along each axis.\n"
        f"Where is the {places[-1]}, seen from the {places[0]}? Answer with one of "
        f"{', '.join(DIRECTIONS)}, or {SAME_PLACE}."
    )
    turns = [
        min(eighths, 8 - eighths)
        for one, two in pairwise(map(DIRECTIONS.index, directions))
        for eighths in [abs(one - two)]
    ]
    covariates = {
        "diagonal_premises": float(sum("-" in direction for direction in directions)),
        "diagonal_answer": float("-" in answer), "turn_degrees": 45 * sum(turns),
        "opposite": float(answer == SAME_PLACE), "same_direction": float(len({*directions}) == 1),
    }  # fmt: skip
    return worded("cardinal_directions", direction_key(*directions), question, answer, **covariates)


NAME = re.compile(
    r"(?i)\b(?P<first>north|south)(?:[- ]?(?P<second>east|west))?(?:ern|erly|wards?)?\b"
    r"|\b(?P<only>east|west)(?:ern|erly|wards?)?\b"
    r"|\b(?P<same>same (?:place|location|position|spot|point|cell))\b"
)
ABBREVIATION = re.compile(r"\b(?P<first>[NS])(?P<second>[EW])?\b|\b(?P<only>[EW])\b")
LETTERS = {"N": "north", "S": "south", "E": "east", "W": "west"}
SEEN_FROM = re.compile(r"[\s*]{0,4}(?:direction )?(?:of|from) (?:the )?(?P<place>\w{1,20})", re.I)


def find_directions(item: Item, text: str) -> list[Stated]:
    """Find directions of C as seen from A; letters (NE) only where no direction is spelled out."""
    a, *between, _ = terms_of(*item.key.split("+"))
    others = "|".join((a, *between))
    told_of_other = re.compile(
        rf"(?i)(?<!of the )(?<!of )(?<!from the )(?<!from )(?<!to the )(?<!to )\b(?:{others}) "
        r"(?:is|lies|sits|must be|would be)\b[^.\n,;]*\Z"
    )
    found = []
    for match in list(NAME.finditer(text)) or ABBREVIATION.finditer(text):
        seen_from = SEEN_FROM.match(text, match.end())
        elsewhere = seen_from is not None and seen_from["place"].lower() != a
        if elsewhere or told_of_other.search(before(text, match.start())):
            continue
        words = [match[name] for name in ("first", "second", "only") if match[name]]
        answer = "-".join(LETTERS.get(word, word.lower()) for word in words) or SAME_PLACE
        found.append(Stated(match.start(), match.end(), answer))
    return found


def paraphrases(item: Item) -> list[str]:
    """Word the item as exercise books and data sets do."""
    first, second = item.key.split("+")
    a, b, c = terms_of(first, second)
    forms = [
        (f"The {a} is {first} of the {b}", f"The {b} is {second} of the {c}"),
        (f"The {a} is to the {first} of the {b}", f"The {b} is to the {second} of the {c}"),
        (f"The {a} lies {first} of the {b}", f"the {b} lies {second} of the {c}"),
    ]
    return [form for pair in forms for form in in_both_orders(*pair, TWO_PREMISES)]


grade = grader(find_directions)
TASK = Task(
    "cardinal_directions", lambda: list(starmap(make_item, PAIRS)), grade, paraphrases, 1816
)
