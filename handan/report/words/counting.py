"""How the arms' costs were counted: said where it is anything but generated ids of a span."""

from handan.report.data import Group
from handan.report.notation import listing

WAYS = {
    "token_ids": "on generated token ids",
    "usage": "by the server",
    "retokenized": "on its text, tokenised again",
    "characters": "in characters",
}


def counting(group: Group) -> tuple[str, bool, str]:
    """Title of the check, whether it applies, and in words how each arm was counted."""
    title = "How costs were counted"
    ways = {arm.name: sorted(values(group, arm.name, "counted_by")) for arm in group.arms}
    whole = [arm.name for arm in group.arms if "response" in values(group, arm.name, "cost_rule")]
    other = {name: found for name, found in ways.items() if set(found) - {"token_ids"}}
    if not other and not whole:
        return title, False, "all on the token ids inside the reasoning span"
    text = ""
    if other:
        shown = [
            f"{name} {' and '.join(WAYS.get(way, way) for way in found)}"
            for name, found in other.items()
        ]
        text += (
            f"Not counted on generated token ids: {listing(shown)}. Text that is tokenised again "
            "has another length than was generated, and a server's own count may hold the tags; "
            "compare with an arm counted otherwise only where a difference is far larger. "
        )
    if whole:
        text += (
            f"The cost of {listing(whole)} is the whole response, because there is no reasoning "
            "span; an answer's length need not mean what thinking does. 'handan compare "
            "--cost_rule' counts all arms by one rule. "
        )
    return title, True, text.strip()


def values(group: Group, model: str, column: str) -> set[str]:
    """What a column such as 'counted_by' says of a model's tasks."""
    figures = group.figures(model) or {"tasks": {}}
    return {
        way
        for task in figures["tasks"].values()
        if task[column]
        for way in task[column].split(" + ")
    }
