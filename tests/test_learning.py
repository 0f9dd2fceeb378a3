"""A training without a gradient is never taken for one that trained."""

from types import SimpleNamespace

import pytest
from embedded import WEIGHTS, run_script
from recipe_runs import arguments
from test_recipes import largest_difference

from handan.checkpoints import what_is_wrong
from handan.errors import UserError
from handan.files import append_jsonl, read_json, read_jsonl
from handan.generation.loading import load_model
from handan.launch import SINGLE
from handan.training.ledger import Ledger
from handan.training.rl import (
    TEXT_CHARACTERS,
    TEXTS,
    EarlyWarning,
    check_learned,
    count,
    in_part,
    shortened,
    without_gradient,
)


def rows(*rewards, step=1, **more):
    """Completions of one batch with these rewards; None could not be graded, 'cut' was cut off."""
    out = []
    for reward in rewards:
        cut = reward == "cut"
        row = {"step": step, "status": "truncated" if cut else "complete", "trained_tokens": 5}
        row |= {"reward": 0.0 if cut else reward}
        row |= {"correct": None if reward is None else row["reward"] > 0}
        out.append({**row, **more})
    return out


@pytest.mark.parametrize(
    ("batch", "with_variance"),
    [
        (rows(1, 1, 1, 1, 0, 0, 0, 0), 0),
        (rows(1, 1, 1, 0, 0, 0, 0, 0), 1),
        (rows(0, 1, 1, 0, 1, 1, 0, 1), 2),
        (rows(0, 0, 0, 0, 0.1, 0.1, 0.1, 0.1), 0),
        # One without a verdict has no advantage, and is not in the mean of the others.
        (rows(1, 1, None, 1, None, None, None, None), 0),
        (rows(None, None, None, 1, 0, None, 1, 0), 1),
        # What has no loss has no gradient either, whatever its reward.
        (rows(0, 1, 0, 1, 0, 1, 0, 1, trained_tokens=0), 0),
        (rows(0.3, 0.3, 0.3, 0.3, 0.1, 0.1, 0.1, 0.1), 0),
    ],
)
def test_a_group_teaches_if_rewards_within_it_differ(batch, with_variance):
    found = count(batch, 4)
    assert (found["groups"], found["groups_with_variance"]) == (2, with_variance)
    assert found["batches_without_gradient"] == (with_variance == 0)


def test_groups_are_those_of_a_batch_and_outcomes_add_up():
    batches = [*rows(1, 1, 0, 0), *rows("cut", "cut", 1, 0, step=2), *rows(None, 1, 0, 0, step=3)]
    found = count(batches, 2)
    assert (found["groups"], found["groups_with_variance"]) == (6, 1)
    assert (found["batches"], found["batches_without_gradient"]) == (3, 2)
    assert found["completions"] == 12
    assert [found[k] for k in ("truncated", "wrong", "right", "ungraded")] == [2, 5, 4, 1]


@pytest.mark.parametrize(
    ("batch", "sentence"),
    [
        (
            rows(*["cut"] * 13, 0, 0, 0),
            "no gradient: all rewards were equal within each of 4 groups (13 of 16 completions "
            "truncated, 3 wrong); raise max_completion_length",
        ),
        (rows(*[1] * 8), "each of 2 groups (8 of 8 completions right); choose harder prompts"),
        (rows(*[0] * 8), "each of 2 groups (8 of 8 completions wrong); choose easier prompts"),
        (rows(*[None] * 4), "(4 of 4 completions ungraded); choose prompts with simpler answers"),
        (
            rows(0, 1, 0, 1, trained_tokens=0),
            "no gradient: no token of any completion has a loss (2 of 4 completions wrong, 2 righ",
        ),
    ],
)
def test_a_run_without_a_gradient_is_told_with_the_reason(batch, sentence):
    found = count(batch, 4)
    assert sentence in without_gradient(found)
    with pytest.raises(UserError, match=r"grpo: not trained, no gradient: .* learned nothing"):
        check_learned("grpo", "runs/x", found)


def test_a_run_with_some_gradient_says_how_much_had_none():
    found = count([*rows(0, 0, 1, 0), *rows(1, 1, 1, 1, step=2), *rows("cut", 0, step=3)], 2)
    assert without_gradient(found) is None
    assert in_part(found) == "; 4 of 5 groups had equal rewards, so no gradient"
    assert in_part(count(rows(0, 1), 2)) == ""


def test_a_run_with_hardly_a_gradient_is_stopped_early(tmp_path):
    ledger = Ledger(tmp_path, SINGLE)
    silent = [one for step in range(1, 20) for one in rows(0, 0, 0, 0, step=step)]
    batches = [one | {"completion_tokens": 5} for one in [*silent, *rows(0, 1, 0, 0, step=20)]]
    append_jsonl(tmp_path / "rollouts.jsonl", batches)
    rollouts = SimpleNamespace(ledger=ledger, group_size=2, path=tmp_path / "rollouts.jsonl")
    warning = EarlyWarning("grpo", rollouts)
    warning.on_step_end(None, SimpleNamespace(global_step=19), None)
    with pytest.raises(UserError, match="stopped after 20 steps, hardly a gradient: all rewards"):
        warning.on_step_end(None, SimpleNamespace(global_step=20), None)
    found = count([*batches, *rows(0, 1, 0, 1, step=20)], 2)
    assert without_gradient(found, 0.05) is None


def test_distillation_learns_from_every_token_whatever_the_rewards():
    batches = [*rows(0, 0, 0), *rows(0, 0, 0, step=2, trained_tokens=0)]
    found = count(batches, None)
    assert "groups" not in found and without_gradient(found) is None
    assert in_part(found) == "; 1 of 2 batches had no token with a loss"
    assert "no token of any completion" in without_gradient(count(batches[3:], None))


def test_the_text_of_a_long_completion_keeps_both_ends():
    text = "".join(chr(0x4E00 + number) for number in range(5000))
    kept = shortened(text, 100)
    assert len(kept) < 101 and kept[:40] == text[:40] and kept[-40:] == text[-40:]
    assert shortened(text[:100], 100) == text[:100]


# The recipe itself.

NO_PROBE = ["--probe_steps", "0"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (
            [],
            "all rewards were equal within each of 16 groups (64 of 64 completions truncated); "
            "raise max_completion_length",
        ),
        (
            ["--mask_truncated_completions", "true"],
            "no token of any completion has a loss (64 of 64 completions truncated); raise",
        ),
    ],
)
def test_completions_that_are_all_cut_train_nothing(small, tmp_path, more, reason):
    folder = tmp_path / "run"
    words = arguments("grpo", small, folder, "--max_completion_length", "1", *NO_PROBE, *more)
    done = run_script(*words, check=False)
    assert done.returncode == 2 and "grpo: trained" not in done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"handan: error: grpo: not trained, no gradient: {reason}")
    assert "Traceback" not in done.stderr
    training = read_json(folder / "run.json")["training"]
    assert training["learning"]["groups"] == 16
    assert training["learning"]["groups_with_variance"] == 0
    assert training["budget"]["trained_tokens"] == (0 if more else 64)
    # What was saved is whole, and what it was.
    assert training["finished"] and what_is_wrong(folder / "checkpoint-4") is None
    assert largest_difference(folder, WEIGHTS / "base") == 0
    load_model(str(folder))


def test_answers_that_are_all_the_same_are_told_at_once_at_step_10_at_the_end_and_again(
    small, tmp_path
):
    """At a temperature near 0 groups differ from each other, but not within."""
    folder = tmp_path / "run"
    more = ["--temperature", "0.001", "--max_steps", "10", *NO_PROBE]
    words = arguments("grpo", small, folder, *more)
    done = run_script(*words, check=False)
    equal = "no gradient: all rewards were equal within each of 40 groups ("
    assert f"grpo: step 1: {equal.replace('40', '4')}" in done.stdout
    assert f"grpo: step 10: {equal}" in done.stdout
    assert done.returncode == 2 and f"grpo: not trained, {equal}" in done.stderr
    found = read_jsonl(folder / "rollouts.jsonl")
    assert len({row["reward"] for row in found}) == 2
    for step in range(1, 11):
        texts = [row["text"] for row in found if row["step"] == step and "text" in row]
        assert len(texts) == TEXTS and all(0 < len(text) <= TEXT_CHARACTERS for text in texts)
    again = run_script(*words, check=False)
    assert again.returncode == 2 and f"grpo: not trained, {equal}" in again.stderr
    assert "finished already" not in again.stdout


def test_a_run_that_learns_says_which_part_of_it_did_not(small, trained):
    learning = read_json(trained("grpo") / "run.json")["training"]["learning"]
    assert 0 < learning["groups_with_variance"] < learning["groups"] == 16
    found = read_jsonl(trained("grpo") / "rollouts.jsonl")
    assert learning["completions"] == len(found) == 64
    distilled = read_json(trained("on_policy_distill") / "run.json")["training"]["learning"]
    assert distilled["without_loss"] == distilled["batches_without_gradient"] == 0
    assert "groups" not in distilled
