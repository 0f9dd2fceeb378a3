"""Whether a training has anything to learn from, told from the rows of ``rollouts.jsonl``.

An advantage is a reward minus the mean of its group. Where all rewards of a group are equal, none
of its completions has a gradient, whatever they are worth.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from transformers import TrainerCallback

from handan.errors import UserError
from handan.records import read_jsonl
from handan.training.rollouts import Rollouts

# After so many steps it is told that there was no gradient yet.
EARLY = 10
OUTCOMES = {
    "truncated": "raise max_completion_length, or start from a model that stops",
    "wrong": "choose easier prompts, or another model",
    "right": "choose harder prompts, or raise temperature",
    "ungraded": "choose prompts with simpler answers",
}


def figures(rollouts: Rollouts) -> dict[str, int]:
    """What the completions of a run were, and how many of their groups and batches taught anything.

    Returns:
        ``completions`` and how many of them are of each of ``OUTCOMES``; ``without_loss``, those
        none of whose tokens has a loss; ``batches`` and ``batches_without_gradient``; of a run that
        learns from rewards also ``groups`` and ``groups_with_variance``. The same on all processes.
    """
    world = rollouts.ledger.world
    counted = []
    if world.rank == 0:
        path = rollouts.ledger.run_dir / rollouts.file
        rows = read_jsonl(path) if path.exists() else []
        # Rows of an earlier release have no count of their own: all their tokens were trained.
        rows = [{"trained_tokens": row["completion_tokens"], **row} for row in rows]
        counted = [count(rows, rollouts.group_size)]
    (of_all,) = world.gather(counted)
    return of_all


def count(rows: Sequence[Mapping[str, Any]], group_size: int | None) -> dict[str, int]:
    """The figures of rows in their order in the file.

    Args:
        rows: of whole batches.
        group_size: completions of one prompt; None: nothing is learned from rewards.
    """
    outcomes = [_outcome(row) for row in rows]
    out = {"completions": len(rows), **{name: outcomes.count(name) for name in OUTCOMES}}
    out["without_loss"] = sum(not row["trained_tokens"] for row in rows)
    batches = [list(batch) for _, batch in groupby(rows, key=lambda row: row["step"])]
    size = group_size or 1
    groups = [[batch[i : i + size] for i in range(0, len(batch), size)] for batch in batches]
    teaching = [sum(_teaches(group, bool(group_size)) for group in batch) for batch in groups]
    out |= {"batches": len(batches), "batches_without_gradient": teaching.count(0)}
    if group_size:
        out |= {"groups": sum(map(len, groups)), "groups_with_variance": sum(teaching)}
    return out


def _outcome(row: Mapping[str, Any]) -> str:
    if row["status"] == "truncated":
        return "truncated"
    return {True: "right", False: "wrong", None: "ungraded"}[row["correct"]]


def _teaches(group: Sequence[Mapping[str, Any]], by_reward: bool) -> bool:
    """Whether any completion of a group has a gradient; one without a reward has no advantage."""
    if not by_reward:
        return any(row["trained_tokens"] for row in group)
    graded = [row for row in group if row["reward"] is not None]
    mean = sum(row["reward"] for row in graded) / max(len(graded), 1)
    return any(row["trained_tokens"] and abs(row["reward"] - mean) > 1e-9 for row in graded)


def without_gradient(found: Mapping[str, int]) -> str | None:
    """Why a run had no gradient at all and what to do, in one sentence; None if it had one."""
    if not found or not found["batches"] or found["batches"] > found["batches_without_gradient"]:
        return None
    most = max(OUTCOMES, key=lambda name: found[name])
    if "groups" in found and found["without_loss"] < found["completions"]:
        why = f"all rewards were equal within each of {found['groups']} groups"
    else:
        why = "no token of any completion has a loss"
    outcomes = [f"{found[most]} of {found['completions']} completions {most}"]
    outcomes += [f"{found[name]} {name}" for name in OUTCOMES if found[name] and name != most]
    return f"no gradient: {why} ({', '.join(outcomes)}); {OUTCOMES[most]}"


def in_part(found: Mapping[str, int]) -> str:
    """How much of a run had no gradient, to be put behind the line that says it is trained."""
    if silent := found.get("groups", 0) - found.get("groups_with_variance", 0):
        return f"; {silent} of {found['groups']} groups had equal rewards, so no gradient"
    if silent := found.get("batches_without_gradient", 0):
        return f"; {silent} of {found['batches']} batches had no token with a loss"
    return ""


def check_learned(arm: str, run_dir: Any, found: Mapping[str, int]) -> None:
    """Stop at a finished run that had no gradient, so that nobody takes it for trained.

    Raises:
        UserError: says why it had none.
    """
    if why := without_gradient(found):
        raise UserError(f"{arm}: not trained, {why}; the model in {run_dir} has learned nothing")


class EarlyWord(TrainerCallback):
    """Says after the first steps that there was no gradient yet; later prompts may have one."""

    def __init__(self, arm: str, rollouts: Rollouts) -> None:
        self.arm, self.rollouts = arm, rollouts

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step != EARLY:
            return
        why = without_gradient(figures(self.rollouts))
        if why and self.rollouts.ledger.world.rank == 0:
            print(f"{self.arm}: step {EARLY}: {why}", flush=True)
