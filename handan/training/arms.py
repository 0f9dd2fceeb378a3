"""The recipes that arms are trained by, and what tables and sentences call them."""

from typing import NamedTuple


class Recipe(NamedTuple):
    """One way of training: its name in tables, in a sentence, and before a teacher's name."""

    method: str
    text: str
    by_teacher: str = ""


# By the name of the script in recipes/, which run.json has.
RECIPES = {
    "sft_distill": Recipe(
        "SFT", "supervised fine-tuning on the traces of a teacher", "on traces of"
    ),
    "grpo": Recipe("GRPO", "reinforcement learning with a verifiable reward (GRPO)"),
    "on_policy_distill": Recipe(
        "on-policy distillation",
        "on-policy distillation: its own responses, scored by a teacher",
        "with scores of",
    ),
}


def described(recipe: object) -> Recipe:
    """The recipe of a run.json, called by its own name if it is none of ``RECIPES``."""
    return RECIPES.get(str(recipe), Recipe(str(recipe), str(recipe), by_teacher="on traces of"))
