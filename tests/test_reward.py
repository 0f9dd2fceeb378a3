import json
import math
from types import SimpleNamespace

import pytest
from embedded import load
from families import family
from transformers import AutoModelForCausalLM, AutoTokenizer

from handan.errors import UserError
from handan.files import read_jsonl
from handan.generation.formats import FORMATS
from handan.generation.prompting import prompt_ids
from handan.launch import SINGLE
from handan.tasks import mathematics
from handan.tasks.mathematics import Pool
from handan.training.ledger import Ledger
from handan.training.rewards import load_rewards
from handan.training.rl import GUARD_BATCHES, Rollouts


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path, SINGLE)


def rewards(reward, texts, metrics=None, step=0, **more):
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
        **more,
    }
    return reward(
        prompts=[[]] * number,
        completions=texts,
        completion_ids=[tokenizer(text)["input_ids"] for text in texts],
        trainer_state=SimpleNamespace(global_step=step),
        log_metric=({} if metrics is None else metrics).__setitem__,
        **{key: [value] * number for key, value in columns.items()},
    )


def make(ledger, length_price=0.0, **more):
    model, tokenizer = load()
    settings = {"length_price": length_price, "group_size": 2, **more}
    return Rollouts(tokenizer, model, FORMATS["tiny"], 9, ledger, **settings).total


RIGHT = "1 + 1 = 0 , </think> 0 1 <eos>"
WRONG = "1 + 1 = 0 , </think> 1 1 <eos>"
CUT = "1 + 1 = 0 , 1 + 1 ="


def test_a_model_that_never_thinks_between_its_tags_stops_the_run(ledger):
    reward = make(ledger)
    for _ in range(GUARD_BATCHES - 1):
        rewards(reward, ["</think> 0 1 <eos>", "</think> 1 1 <eos>"])
    with pytest.raises(UserError, match="none of the first 10 completions reasons between"):
        rewards(reward, ["</think> 0 1 <eos>", "</think> 1 1 <eos>"])


def test_right_is_one_and_everything_else_nothing(ledger):
    assert rewards(make(ledger), [RIGHT, WRONG, CUT, "</think> 0 1 <eos>"]) == [1, 0, 0, 1]


def test_a_length_price_is_taken_per_hundred_reasoning_tokens(ledger):
    assert rewards(make(ledger, 2.0), [RIGHT, WRONG]) == pytest.approx([1 - 0.12, -0.12])


def test_the_price_may_be_asked_of_right_answers_alone(ledger):
    reward = make(ledger, 2.0, price_right_only=True)
    assert rewards(reward, [RIGHT, WRONG, CUT]) == pytest.approx([1 - 0.12, 0, 0])


OWN = "tests.own_rewards:"


def with_own(ledger, reward, **more):
    return make(ledger, rewards=load_rewards(reward), **more)


def test_own_rewards_are_weighed_beside_the_verifiable_one_and_logged_each(ledger, tmp_path):
    reward = with_own(ledger, {"verifiable": 1, OWN + "brief": 0.7}, length_price=2.0)
    metrics = {}
    found = rewards(reward, [RIGHT, WRONG], metrics)
    assert found == pytest.approx([1 + 0.1 - 0.12, 0.1 - 0.12])
    assert metrics["rewards/verifiable/mean"] == 0.5
    assert metrics[f"rewards/{OWN}brief/mean"] == pytest.approx(1 / 7)
    row = read_jsonl(tmp_path / "rollouts.jsonl")[1]
    assert row["rewards"] == {"verifiable": 0, OWN + "brief": pytest.approx(1 / 7)}


def test_an_own_reward_alone_reads_the_columns_of_the_prompts(ledger):
    reward = with_own(ledger, OWN + "of_level")
    found = rewards(reward, [RIGHT, WRONG], columns=json.dumps({"level": "3", "source": "mine"}))
    assert found == [3, 3]


def test_an_own_reward_may_give_none(ledger):
    reward = with_own(ledger, {"verifiable": 1, OWN + "unsure": 1})
    assert rewards(reward, [RIGHT, WRONG]) == [None, 0.5]


@pytest.mark.parametrize("name", ["too_few", "not_a_number", "forgotten"])
def test_an_own_reward_that_gives_no_numbers_stops(ledger, name):
    reward = with_own(ledger, {"verifiable": 1, OWN + name: 1})
    with pytest.raises(UserError, match=f"reward {OWN}{name} gave .*; give 2 finite numbers"):
        rewards(reward, [RIGHT, WRONG])


@pytest.mark.parametrize(
    ("reward", "sentence"),
    [
        ("nowhere:brief", "reward nowhere:brief: no file .*nowhere.py; give verifiable, or module"),
        ("politeness", "reward politeness: no file"),
        (OWN + "missing", "own_rewards.py has no function 'missing'"),
        ({}, "reward is {}; give module:function, or"),
        ({"verifiable": "much"}, "reward is {'verifiable': 'much'}; give"),
        ({"verifiable": math.inf}, "reward is .*; give"),
    ],
)
def test_a_reward_that_is_not_there_is_named(reward, sentence):
    with pytest.raises(UserError, match=sentence):
        load_rewards(reward)


def test_weights_may_stand_on_a_command_line():
    assert load_rewards("{verifiable: 1.0, " + OWN + "brief: 0.2}") == load_rewards(
        {"verifiable": 1.0, OWN + "brief": 0.2}
    )


def test_mathematics_is_rewarded_by_its_value_and_not_at_all_without_a_verdict(
    ledger, tmp_path, monkeypatch
):
    pool = Pool(size=1, cpu_seconds=1.0)
    monkeypatch.setattr(mathematics, "shared", lambda: pool)
    folder = family("qwen3", tmp_path / "qwen3")
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    form = FORMATS["qwen3"]
    reward = Rollouts(tokenizer, model, form, 99, ledger, group_size=4).total
    question = "Find x if 2x = 10."
    columns = {"task": "math", "item": "m", "wording": "natural", "question": question}
    columns |= {"answer": "5", "prompt_ids": list(prompt_ids(tokenizer, question, form))}
    answers = ["\\boxed{\\frac{10}{2}}", "\\boxed{6}", "\\boxed{9^{9^{9}}}", "no idea"]
    texts = [f"<think>\nHalf of it.\n</think>\n\n{answer}<|im_end|>" for answer in answers]
    metrics = {}
    found = reward(
        prompts=[[]] * 4,
        completion_ids=[tokenizer(text)["input_ids"] for text in texts],
        trainer_state=SimpleNamespace(global_step=0),
        log_metric=metrics.__setitem__,
        **{key: [value] * 4 for key, value in columns.items()},
    )
    pool.close()
    assert found == [1, 0, None, 0]
    assert metrics["status/ungraded_rate"] == metrics["status/accuracy"] == 0.25
    assert [row["correct"] for row in read_jsonl(tmp_path / "rollouts.jsonl")] == [
        True,
        False,
        None,
        False,
    ]


def test_tokens_are_counted_and_statuses_logged(ledger):
    metrics = {}
    rewards(make(ledger), [RIGHT, CUT], metrics)
    assert ledger.counts["generated_tokens"] == 10 + 10
    assert ledger.counts["processed_tokens"] == 10 + 10 + 2 * 7
    assert metrics["status/truncated_rate"] == 0.5
    assert metrics["cost/reasoning_tokens"] == (6 + 10) / 2


def test_a_completion_counts_for_each_pass_unless_it_has_no_loss(ledger):
    reward = make(ledger, passes=3, masks_truncated=True)
    rewards(reward, [RIGHT, CUT])
    assert ledger.counts["generated_tokens"] == 10 + 10
    assert ledger.counts["trained_tokens"] == 3 * 10
    assert ledger.counts["processed_tokens"] == 3 * (10 + 10 + 2 * 7)


def test_a_run_whose_completions_all_reach_the_cap_stops(ledger):
    reward = make(ledger)
    with pytest.raises(UserError, match="100% of the first 20 completions reached max_complet"):
        for _ in range(GUARD_BATCHES):
            rewards(reward, [CUT] * 4)


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
        "trained_tokens": 10,
        "rewards": {"verifiable": 1},
        "reward": pytest.approx(1 - 0.12),
        "text": RIGHT,
    }
    assert (rows[1]["status"], rows[1]["completion_tokens"]) == ("truncated", 10)
