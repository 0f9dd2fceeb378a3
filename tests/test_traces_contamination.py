"""Evaluation items among training prompts: found in other words, and nothing else taken for one."""

import pytest

from handan import tasks
from handan.evaluation import contamination
from handan.evaluation.contamination import contaminated
from handan.tasks import human_items, wordings
from handan.tasks.base import Item, Task
from handan.tasks.wording import words


def found(question, ngram=8):
    match = contaminated(question, ngram)
    return match and (match[0], match[1].task, match[1].key)


def test_every_item_is_found_in_every_wording():
    for item in human_items():
        for text in wordings(item):
            assert contaminated(text) is not None, text
            assert contaminated(text.upper().replace(" ", "\n ")) is not None, text


def test_all_items_of_a_task_have_as_many_wordings_and_some_at_least():
    for task in tasks.TASKS.values():
        numbers = {len({tuple(words(w)) for w in wordings(item)}) for item in task.items()}
        assert min(numbers) >= 5, task.name


@pytest.mark.parametrize(
    "question",
    [
        "What is 101 + 11?",
        "Add the binary numbers 0101 and 0011.",
        "Let $x$ be the sum of $101_2$ and $11_2$. Find $x$ in decimal.",
        "Compute $101_{2} + 11_{2}$ and explain every carry.",
        "Compute 0b101 + 0b11",
        "$0101_{2}+0011_{2}$",
        "A register holds 0101. We add to it: 0101 + 0011. What does it hold now?",
        "In base two, what is 101 plus 11?",
        "Add two of them: take 0101 and the binary number 0011. What is their sum?",
    ],
)
def test_a_short_sum_is_found_in_any_sentence(question):
    assert found(question)[1:] == ("binary_addition", "0101+0011")


@pytest.mark.parametrize(
    "question",
    [
        "Compute 101 + 11 + 57.",
        "Find 1/2 + 1/3.",
        "How many primes lie between 1000 and 1100?",
        "Add the binary numbers 10101 and 00011.",
        "In binary, what is 110101 + 1010?",
        "Tom has 3 \\times 5 = 15 apples and eats one every day of the week. How many remain?",
        "All cats are animals. No animals are stones. What follows?",
        "Which conclusion about cats and dogs follows with logical necessity? There are some "
        "people of each profession. Choose one of:",
        "Is this statement true or false? 12 \\times 13 = 156.",
        "Is this statement true or false? 109 - 73 = 45. Answer with true or false only.",
        "Add the binary numbers 110101 and 0011: 110101 + 0011. Answer with the result as a binary "
        "number only.",
    ],
)
def test_other_problems_are_left_alone(question):
    assert found(question) is None


def test_operands_may_stand_in_the_other_order():
    question = "Subtract the binary number 0011 from the binary number 0101, please, and explain."
    assert found(question) == ("same_sum", "binary_addition", "0011+0101")


def test_an_equation_to_verify_is_found():
    assert found("Check whether it is true that $3 \\times 5 = 15$ holds in the ring Z.")[1:] == (
        "products",
        "3*5=10",
    )


def test_premises_within_a_longer_prompt_share_an_ngram():
    item = tasks.load("syllogisms").items()[5]
    premises = item.question.split("\n")[1:3]
    longer = f"Here is a riddle from my teacher. {premises[1]} {premises[0]} Now, what do you say?"
    assert found(longer) == ("shared_ngram", "syllogisms", item.key)
    assert found(longer, None) is None


def test_instructions_that_items_share_are_no_sign():
    item = tasks.load("cardinal_directions").items()[5]
    instruction = item.question.split("\n\n")[1].split("\n")[0]
    assert len(words(instruction)) > 8
    assert found(instruction) is None


def test_a_task_without_paraphrases_is_found_by_its_own_words(monkeypatch):
    question = "A clock shows nine. Which number does its small hand point to in five hours?"
    item = Item("clocks", "9+5", question, "2")
    task = Task("clocks", lambda: [item], lambda item, text: None)
    known = (contamination._whole, contamination._operands, contamination._ngrams)
    monkeypatch.setitem(tasks.TASKS, "clocks", task)
    for table in known:
        table.cache_clear()
    try:
        assert wordings(item) == [question]
        assert found(question.upper()) == ("same_question", "clocks", "9+5")
        assert found(f"My uncle asks: {question}") == ("shared_ngram", "clocks", "9+5")
        assert found("Add the binary numbers 0101 and 0011.")[1:] == (
            "binary_addition",
            "0101+0011",
        )
    finally:
        for table in known:
            table.cache_clear()
