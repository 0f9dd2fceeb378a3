from dataclasses import replace
from types import SimpleNamespace

import pytest
from embedded import load

from handan.errors import UserError
from handan.formats import FORMATS
from handan.launch import SINGLE
from handan.records import read_jsonl
from handan.tasks.base import Grade
from handan.tiny.tasks import TASKS
from handan.training.ledger import Ledger
from handan.training.reward import VerifiableReward
from handan.training.rollouts import GUARD_BATCHES


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path, SINGLE)


def rewards(reward, texts, metrics=None, step=0):
    """Rewards of completions of 1 + 1 = 10, written from the least significant bit."""
    _, tokenizer = load()
    number = len(texts)
    prompt = tokenizer("<bos> + 1 1 ; = <think>")["input_ids"]
    columns = {
        "task": "binary_addition",
        "item": "1+1",
        "wording": "compact",
        "question": "+ 1 1 ; =",
        "answer": "0 1",
        "prompt_ids": prompt,
    }
    return reward(
        prompts=[[]] * number,
        completion_ids=[tokenizer(text)["input_ids"] for text in texts],
        trainer_state=SimpleNamespace(global_step=step),
        log_metric=({} if metrics is None else metrics).__setitem__,
        **{key: [value] * number for key, value in columns.items()},
    )


def make(ledger, length_price=0.0):
    model, tokenizer = load()
    return VerifiableReward(tokenizer, model, FORMATS["tiny"], length_price, 9, ledger)


RIGHT = "1 + 1 = 0 , </think> 0 1 <eos>"
WRONG = "1 + 1 = 0 , </think> 1 1 <eos>"
CUT = "1 + 1 = 0 , 1 + 1 ="


def test_right_is_one_and_everything_else_nothing(ledger):
    assert rewards(make(ledger), [RIGHT, WRONG, CUT, "</think> 0 1 <eos>"]) == [1, 0, 0, 1]


def test_a_length_price_is_taken_per_hundred_reasoning_tokens(ledger):
    assert rewards(make(ledger, 2.0), [RIGHT, WRONG]) == pytest.approx([1 - 0.12, -0.12])


def test_a_completion_without_a_verdict_gets_no_reward(ledger):
    """As the task 'math' grades an answer that cannot be compared within its limits."""
    reward = make(ledger)
    metrics = {}
    compact = TASKS["binary_addition"]

    def slow(item, text):
        found = compact.grade(item, text)
        return found if found.correct else Grade(found.answer, None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "binary_addition", replace(compact, grade=slow))
        assert rewards(reward, [RIGHT, WRONG], metrics) == [1, None]
    assert metrics["status/ungraded_rate"] == 0.5 and metrics["status/accuracy"] == 0.5


def test_tokens_are_counted_and_statuses_logged(ledger):
    metrics = {}
    rewards(make(ledger), [RIGHT, CUT], metrics)
    assert ledger.counts["generated_tokens"] == 10 + 10
    assert ledger.counts["processed_tokens"] == 10 + 10 + 2 * 7
    assert metrics["status/truncated_rate"] == 0.5
    assert metrics["cost/reasoning_tokens"] == (6 + 10) / 2


def test_a_run_whose_completions_all_reach_the_cap_stops(ledger):
    reward = make(ledger)
    with pytest.raises(UserError, match="100% of the first 20 completions reached max_complet"):
        for _ in range(GUARD_BATCHES):
            rewards(reward, [CUT] * 4)


def test_a_run_whose_rewards_are_all_equal_stops(ledger):
    reward = make(ledger)
    with pytest.raises(UserError, match="all of the first 20 rewards are 1, so there is no adv"):
        for _ in range(GUARD_BATCHES):
            rewards(reward, [RIGHT] * 4)


def test_a_run_that_can_learn_goes_on(ledger):
    reward = make(ledger)
    for _ in range(GUARD_BATCHES + 2):
        rewards(reward, [RIGHT, WRONG, CUT, CUT])


def test_every_completion_leaves_its_exact_cost(ledger, tmp_path):
    reward = make(ledger, 2.0)
    for step in (0, 1):
        rewards(reward, [RIGHT, CUT], step=step)
    rows = read_jsonl(tmp_path / "rollouts.jsonl")
    assert [row["step"] for row in rows] == [1, 1, 2, 2]
    assert rows[0] == {
        "step": 1,
        "task": "binary_addition",
        "item": "1+1",
        "reasoning_tokens": 6,
        "answer_tokens": 2,
        "status": "complete",
        "correct": True,
        "prompt_tokens": 7,
        "completion_tokens": 10,
        "reward": pytest.approx(1 - 0.12),
    }
    assert (rows[1]["status"], rows[1]["completion_tokens"]) == ("truncated", 10)
