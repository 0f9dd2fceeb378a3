"""``handan task check``: what is wrong with a task of one's own, or what it asks and how."""

from collections import Counter
from pathlib import Path
from statistics import median

from handan.errors import UserError, printable
from handan.generation.formats import AUTO, choose_for
from handan.generation.loading import load_tokenizer
from handan.generation.prompting import prompt_ids
from handan.tasks import own_task

PROBLEMS, ANSWERS = 50, 8  # shown


def check_task(folder: Path, tokenizer: str | None) -> None:
    """Print every problem of a task and refuse it, or print its items and three of its prompts."""
    task, problems = own_task.check(folder)
    for problem in problems[:PROBLEMS]:
        print(printable(problem))
    if problems:
        shown = f"; {PROBLEMS} are shown" if problems[PROBLEMS:] else ""
        raise UserError(f"{folder}: mend what is said above ({len(problems)} in all{shown})")
    items = task.items()
    prompts = [item.question for item in items]
    if tokenizer is not None:
        loaded = load_tokenizer(tokenizer)
        form = choose_for(tokenizer, AUTO, loaded)
        prompts = [loaded.decode(prompt_ids(loaded, prompt, form)) for prompt in prompts]
    print(f"{printable(str(folder))}: task '{task.name}', {len(items)} items")
    answers = Counter(item.answer for item in items).most_common()
    others = f" and {len(answers) - ANSWERS} others" if answers[ANSWERS:] else ""
    counted = ", ".join(f"{answer} ({number})" for answer, number in answers[:ANSWERS])
    print(f"answers: {printable(counted)}{others}")
    asked = [item.covariates.get(own_task.HUMAN[0]) for item in items]
    times = [time for time in asked if time is not None]
    spread = f", {min(times):g} to {max(times):g} s, median {median(times):g} s" if times else ""
    print(
        f"human times: {len(times)} of {len(items)} items ({len(times) / len(items):.0%}){spread}"
    )
    covariates = [name for name in items[0].covariates if name not in own_task.HUMAN]
    print(f"covariates: {', '.join(covariates)}")
    for index in dict.fromkeys((0, len(items) // 2, len(items) - 1)):
        print(f"\nitem {items[index].key}, right is {printable(items[index].answer)}:")
        for line in prompts[index].splitlines():
            print(f"  {printable(line)}")
