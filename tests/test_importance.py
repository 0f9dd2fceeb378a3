"""Weights of what another engine drew: TRL's own correction, with probabilities of a made-up vLLM.

vLLM itself is not needed: completions and their probabilities come through TRL's ``rollout_func``,
as from an engine whose probabilities differ a little from the trainer's.
"""

import copy
import random
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from embedded import load
from recipe_runs import PROMPTS
from trl import GRPOConfig

from handan.errors import UserError
from handan.files import read_jsonl
from handan.generation.formats import FORMATS
from handan.launch import SINGLE
from handan.training.data import load_prompts, prompt_rows
from handan.training.ledger import Ledger
from handan.training.losses import check_context, check_grpo, is_weighed
from handan.training.rl import LengthSortedGRPOTrainer, Rollouts, draw, importance_weights

CPU = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": "none"}
CORRECTED = {
    "vllm_importance_sampling_mode": "token_truncate",
    "vllm_importance_sampling_clip_max": 3.0,
}


def config(folder="unused", **changes):
    settings = {"per_device_train_batch_size": 8, "num_generations": 4, "max_steps": 2}
    return GRPOConfig(output_dir=str(folder), **{**settings, **CPU, **changes})


# What is refused.


def given(**changes):
    """Check a run of vLLM in which these keys are set."""
    changes = {"use_vllm": True, **changes}
    check_grpo(config(**changes), set(changes))


@pytest.mark.parametrize("key", CORRECTED)
def test_how_completions_of_vllm_are_weighed_has_no_default(key):
    others = {name: value for name, value in CORRECTED.items() if name != key}
    with pytest.raises(UserError, match=f"use_vllm is true: set '{key}' too; it decides"):
        given(**others)
    given(**CORRECTED)


@pytest.mark.parametrize("mode", ["sequence_mask", "sequence_truncate", "mask"])
def test_a_weight_that_falls_with_length_is_refused(mode):
    with pytest.raises(UserError, match=f"'{mode}', but the ratio of a whole completion is a prod"):
        given(**{**CORRECTED, "vllm_importance_sampling_mode": mode})
    with pytest.raises(UserError, match="loss_type vespo weighs what vLLM drew by a product"):
        given(**CORRECTED, loss_type="vespo")


@pytest.mark.parametrize("bounds", [{"max": 0.5}, {"min": 1.5}, {"max": 0.9, "min": 0.1}])
def test_bounds_that_leave_out_an_exact_token_are_refused(bounds):
    keys = {f"vllm_importance_sampling_clip_{name}": value for name, value in bounds.items()}
    with pytest.raises(UserError, match="is 1; let them enclose it"):
        given(**{**CORRECTED, **keys})


def test_a_run_without_the_correction_needs_no_bounds():
    keys = {"use_vllm": True, "vllm_importance_sampling_correction": False}
    given(**keys)
    assert not is_weighed(config(**keys)) and not is_weighed(config(**CORRECTED))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"off_policy_mask_threshold": 0.5}, "off_policy_mask_threshold is 0.5, but completions"),
        ({"top_entropy_quantile": 0.2}, "top_entropy_quantile is 0.2, but tokens would leave"),
        ({"entropy_coef": 0.01}, "entropy_coef is 0.01, but its mean is over the tokens of each"),
        ({"use_adaptive_entropy": True}, "use_adaptive_entropy is True"),
        ({"neftune_noise_alpha": 5.0}, "neftune_noise_alpha is 5.0, but its noise depends on"),
        ({"vllm_structured_outputs_regex": "x"}, "vllm_structured_outputs_regex is 'x', but compl"),
        ({"loss_type": "cispo"}, "loss_type is cispo: set 'epsilon_high' too; it decides"),
    ],
)
def test_what_would_weigh_tokens_by_their_completion_or_batch_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        check_grpo(config(**change), set(change))


def test_a_context_that_ends_completions_before_the_cap_is_refused():
    model, _ = load()
    rows = [{"prompt_ids": [1] * length} for length in (3, 24)]
    drawn = {"use_vllm": True, "max_completion_length": 100}
    with pytest.raises(UserError, match=r"holds 123 tokens, .* set vllm_max_model_length to at"):
        check_context(config(**drawn, vllm_max_model_length=123), model, rows)
    check_context(config(**drawn, vllm_max_model_length=124), model, rows)
    own = model.config.max_position_embeddings
    drawn["max_completion_length"] = own
    with pytest.raises(UserError, match=f"holds {own} tokens, but the longest prompt and max_comp"):
        check_context(config(**drawn), model, rows)
    check_context(config(**drawn, vllm_mode="server"), model, rows)


def test_a_server_that_would_never_get_the_weights_is_refused():
    with pytest.raises(UserError, match="vllm_mode is server and use_cpu is true, but TRL hands"):
        given(**CORRECTED, vllm_mode="server")


# What is recorded.


def scored(ratios, mask, weights):
    """A generation batch whose tokens have these ratios; None: vLLM did not tell a probability."""
    told = [[float("nan") if ratio is None else ratio for ratio in row] for row in ratios]
    return {
        "completion_mask": torch.tensor(mask),
        "old_per_token_logps": torch.tensor(told).log(),
        "sampling_per_token_logps": torch.zeros(len(told), len(told[0])),
        "importance_sampling_ratio": torch.tensor(weights),
    }


def test_ratios_are_those_of_the_tokens_of_a_completion_before_any_clip():
    batch = scored(
        [[0.5, 1.0, 6.0], [2.0, None, 9.0], [1.0, 1.0, 1.0]],
        [[1, 1, 1], [1, 1, 0], [0, 0, 0]],
        [[0.5, 1.0, 3.0], [2.0, 1.0, 0.0], [1.0, 1.0, 1.0]],
    )
    first, second, masked = importance_weights(batch)
    assert first == pytest.approx(
        {"ratio_mean": 2.5, "ratio_min": 0.5, "ratio_max": 6.0, "weight_mean": 1.5}
        | {"trained_tokens": 3}
    )
    assert (second["ratio_mean"], second["ratio_max"]) == pytest.approx((1.5, 2.0))
    assert second["trained_tokens"] == 2
    assert masked["ratio_mean"] is None and masked["trained_tokens"] == 0


def test_tokens_without_weight_are_not_trained():
    batch = scored([[0.5, 9.0, 1.0]] * 2, [[1, 1, 1]] * 2, [[0.5, 0.0, 1.0]] * 2)
    assert [row["trained_tokens"] for row in importance_weights(batch)] == [2, 2]
    whole = {**batch, "importance_sampling_ratio": torch.tensor([[0.0], [1.0]])}
    assert [row["trained_tokens"] for row in importance_weights(whole)] == [0, 3]


def engine_of_its_own(noise):
    """A ``rollout_func`` whose probabilities are the trainer's times e to some noise."""
    rng = random.Random(3)

    def rollout(prompts, trainer):
        prompt_ids, *_ = trainer._tokenize_prompts(prompts)
        completions = draw(trainer, prompt_ids)
        logprobs = []
        for prompt, ids in zip(prompt_ids, completions, strict=True):
            with torch.no_grad():
                logits = trainer.model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0]
            own = torch.log_softmax(logits[len(prompt) - 1 : -1], -1)
            own = own.gather(1, torch.tensor(ids)[:, None])[:, 0]
            logprobs.append([value - rng.choice(noise) for value in own.tolist()])
        return {"prompt_ids": prompt_ids, "completion_ids": completions, "logprobs": logprobs}

    return rollout


def train(tmp_path, noise, **changes):
    """Two steps of GRPO on completions of an engine of its own; rows and counts."""
    model, tokenizer = load()
    model = copy.deepcopy(model)
    settings = {"gradient_accumulation_steps": 2, "max_completion_length": 64, "loss_type": "dapo"}
    settings |= {"save_strategy": "no", "disable_tqdm": True, **changes}
    args = config(tmp_path, **settings)
    (tmp_path / "prompts.yaml").write_text(PROMPTS)
    rows = prompt_rows(load_prompts(tmp_path / "prompts.yaml"), tokenizer, FORMATS["tiny"])
    ledger = Ledger(tmp_path, SINGLE)
    form = FORMATS["tiny"]
    rollouts = Rollouts(tokenizer, model, form, 64, ledger, group_size=4, await_weights=True)
    trainer = LengthSortedGRPOTrainer(
        model=model,
        args=args,
        reward_funcs=rollouts.total,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        rollout_func=engine_of_its_own(noise),
    )
    trainer.form, trainer.rollouts = form, rollouts
    # TRL corrects what vLLM drew; of vLLM's engine only its weights would be kept in step.
    trainer.use_vllm, trainer._last_loaded_step = True, 0
    trainer.vllm_generation = SimpleNamespace(sync_weights=lambda: None)
    trainer.train()
    return read_jsonl(tmp_path / "rollouts.jsonl"), ledger.counts, trainer.state.log_history


def test_every_completion_says_what_its_tokens_weigh(tmp_path):
    found, counts, _ = train(tmp_path, [-0.1, 0.0, 0.1], **CORRECTED)
    assert [row["step"] for row in found] == [1] * 16 + [2] * 16
    for row in found:
        assert row["trained_tokens"] == row["completion_tokens"]
        assert row["ratio_min"] >= 0.9 and row["ratio_max"] <= 1.11
        assert row["weight_mean"] == pytest.approx(row["ratio_mean"], abs=1e-5)
    assert counts["trained_tokens"] == sum(row["completion_tokens"] for row in found)


def test_masked_tokens_are_counted_as_trained_nowhere(tmp_path):
    keys = {"vllm_importance_sampling_mode": "token_mask", "vllm_importance_sampling_clip_max": 2.0}
    found, counts, logs = train(tmp_path, [0.0, 0.0, 0.0, 1.0], **keys)
    trained = sum(row["trained_tokens"] for row in found)
    generated = sum(row["completion_tokens"] for row in found)
    assert counts["trained_tokens"] == trained and counts["generated_tokens"] == generated
    assert trained / generated == pytest.approx(0.75, abs=0.1)
    assert max(row["ratio_max"] for row in found) == pytest.approx(2.718, abs=0.01)
    assert logs[0]["sampling/importance_sampling_ratio/max"] < 2


def test_the_default_of_trl_would_drop_the_long_completions(tmp_path):
    """Why modes by sequence are refused: the product over a completion leaves its bounds."""
    keys = {"vllm_importance_sampling_mode": "sequence_mask"}
    found, counts, _ = train(tmp_path, [0.0, 0.2], **keys)
    dropped = [row["completion_tokens"] for row in found if not row["trained_tokens"]]
    kept = [row["completion_tokens"] for row in found if row["trained_tokens"]]
    assert dropped and kept
    assert sum(dropped) / len(dropped) > sum(kept) / len(kept)
    assert counts["trained_tokens"] == sum(kept)
