"""The recipes that arms are trained by, and what tables and sentences call them."""

from typing import NamedTuple


class Recipe(NamedTuple):
    """One way of training: what handan train, tables and sentences call it."""

    command: str
    method: str
    text: str
    by_teacher: str = ""  # before the teacher's name


# By the name of the script in recipes/, which run.json has.
RECIPES = {
    "sft_distill": Recipe(
        "sft", "SFT", "supervised fine-tuning on the traces of a teacher", "on traces of"
    ),
    "grpo": Recipe("grpo", "GRPO", "reinforcement learning with a verifiable reward (GRPO)"),
    "on_policy_distill": Recipe(
        "opd",
        "on-policy distillation",
        "on-policy distillation: its own responses, scored by a teacher",
        "with scores of",
    ),
}


def described(recipe: object) -> Recipe:
    """The recipe of a run.json, called by its own name if it is none of ``RECIPES``."""
    return RECIPES.get(str(recipe), Recipe("", str(recipe), str(recipe), "on traces of"))
