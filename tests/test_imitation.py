"""Regrouped rows train what TRL trains: same loss, gradient, weights, counts and logged figures."""

import itertools
import random
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from embedded import WEIGHTS
from peft import LoraConfig
from test_packing import rows as short_rows
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from handan.training import sft
from handan.training.labels import IGNORED
from handan.training.sft import LedgerSFTTrainer

STEPS, ROWS = 3, 8


def rows(number=32):
    """Rows of 9 to 200 tokens, each with a prompt of five that has no loss."""
    rng = random.Random(1)
    out = []
    for _ in range(number):
        ids = rng.choices(range(4, 48), k=5 + min(195, int(rng.lognormvariate(3, 1)) + 4))
        out.append({"input_ids": ids, "labels": [IGNORED] * 5 + ids[5:]})
    return out


def batch(number=8):
    return DataCollatorForLanguageModeling(pad_token_id=0)(rows(number))


def content(batches):
    """Rows as lists of tokens and labels without padding, sorted."""
    return sorted(
        (ids[mask.bool()].tolist(), labels[mask.bool()].tolist())
        for b in batches
        for ids, labels, mask in zip(b["input_ids"], b["labels"], b["attention_mask"], strict=True)
    )


def test_parts_hold_every_row_whole_and_once():
    parts = sft.split(batch(), 64)
    assert len(parts) > 1
    assert content(parts) == content([batch()])
    lengths = [part["attention_mask"].sum(1).max().item() for part in parts]
    assert lengths == sorted(lengths)
    assert [part["input_ids"].shape[1] for part in parts] == lengths


def test_rows_of_one_length_stay_together():
    assert sft.cheapest_sizes([40] * 8, 64) == [8]


def test_no_other_division_costs_less():
    lengths, overhead = [3, 4, 11, 12, 40, 41, 90], 20

    def cost(sizes):
        ends = list(itertools.accumulate(sizes))
        return sum(n * lengths[end - 1] for n, end in zip(sizes, ends, strict=True)) + (
            overhead * len(sizes)
        )

    groups = (
        itertools.accumulate((0, *cuts))
        for cuts in itertools.product((0, 1), repeat=len(lengths) - 1)
    )
    divisions = [list(Counter(group).values()) for group in groups]
    assert cost(sft.cheapest_sizes(lengths, overhead)) == min(map(cost, divisions))


def test_micro_batches_of_a_step_keep_their_sizes_and_rows():
    collate = DataCollatorForLanguageModeling(pad_token_id=0)
    before = [collate(part) for part in (rows()[:4], rows()[4:8], rows()[8:10])]
    after = sft.regroup(before)
    assert [len(b["input_ids"]) for b in after] == [4, 4, 2]
    assert content(after) == content(before)
    assert sum(b["input_ids"].numel() for b in after) < sum(b["input_ids"].numel() for b in before)


def trained(kind, folder, data=None, peft_config=None, **more):
    """What a trainer logs at each step, the weights it ends with, its counts and passes."""
    model = AutoModelForCausalLM.from_pretrained(WEIGHTS / "base")
    settings = {
        "per_device_train_batch_size": ROWS,
        "learning_rate": 3e-4,
        "max_steps": STEPS,
        "logging_steps": 1,
        # Where a gradient is as small as its rounding error, Adam makes a whole step of either.
        "adam_epsilon": 1e-6,
        "bf16": False,
        **more,
    }
    config = SFTConfig(
        output_dir=str(folder),
        use_cpu=True,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **settings,
    )
    trainer = kind(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(data or rows()),
        processing_class=AutoTokenizer.from_pretrained(WEIGHTS / "base"),
        peft_config=peft_config,
    )
    trainer.ledger = SimpleNamespace(counts=Counter())
    passes = []
    trainer.model.register_forward_hook(lambda *_: passes.append(1))
    trainer.train()
    keys = ("loss", "grad_norm", "entropy", "mean_token_accuracy", "num_tokens")
    logged = [[row[key] for key in keys] for row in trainer.state.log_history if "loss" in row]
    assert len(logged) == STEPS
    weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    return logged, weights, trainer.ledger.counts, len(passes)


def assert_same(ours, stock, tolerance=1e-5):
    for own, theirs in zip(ours[0], stock[0], strict=True):
        assert own == pytest.approx(theirs, rel=tolerance)
    assert (ours[1] - stock[1]).abs().max() < tolerance


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    return trained(SFTTrainer, tmp_path_factory.mktemp("stock"))


def test_training_is_that_of_trl(tmp_path, stock):
    ours = trained(LedgerSFTTrainer, tmp_path)
    assert_same(ours, stock)
    assert ours[3] > stock[3]  # there were parts


def test_micro_batches_train_and_log_what_one_batch_does(tmp_path, stock):
    two = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": ROWS // 2}
    assert_same(trained(LedgerSFTTrainer, tmp_path, **two), stock)


def test_a_large_vocabulary_is_read_where_there_are_labels(tmp_path, stock, monkeypatch):
    monkeypatch.setattr(sft, "FEW_LOGITS", 0)
    assert_same(trained(LedgerSFTTrainer, tmp_path), stock)


def test_a_very_large_vocabulary_is_read_in_tiles(tmp_path, stock, monkeypatch):
    monkeypatch.setattr(sft, "MANY_LOGITS", 0)
    assert_same(trained(LedgerSFTTrainer, tmp_path), stock)


def test_the_loss_type_is_kept(tmp_path, stock):
    more = {"loss_type": "dft", "pad_to_multiple_of": 16}
    ours, theirs = (trained(k, tmp_path, **more) for k in (LedgerSFTTrainer, SFTTrainer))
    assert_same(ours, theirs)
    assert theirs[0][0][0] != pytest.approx(stock[0][0][0], rel=1e-2)


def test_an_adapter_is_trained_as_by_trl(tmp_path):
    runs = []
    for kind in (SFTTrainer, LedgerSFTTrainer):
        torch.manual_seed(0)
        adapter = LoraConfig(r=4, lora_dropout=0.0, target_modules="all-linear")
        runs.append(trained(kind, tmp_path, peft_config=adapter))
    assert_same(runs[1], runs[0])


def test_in_bf16_the_loss_differs_by_rounding(tmp_path):
    theirs, ours = (trained(k, tmp_path, bf16=True) for k in (SFTTrainer, LedgerSFTTrainer))
    for one, other in zip(ours[0], theirs[0], strict=True):
        assert one == pytest.approx(other, rel=1e-2)


def test_every_trained_and_processed_token_is_counted(tmp_path):
    data = rows(ROWS * STEPS)
    counts = trained(LedgerSFTTrainer, tmp_path, data)[2]
    tokens = sum(len(row["input_ids"]) for row in data)
    assert counts == {"processed_tokens": tokens, "trained_tokens": tokens - 5 * len(data)}


@pytest.mark.parametrize(
    "more",
    [{"packing": True, "max_length": 40}, {"label_smoothing_factor": 0.1, "bf16": False}],
)
@pytest.mark.filterwarnings("ignore:.label_smoothing_factor. is deprecated")
def test_what_is_no_sum_over_padded_rows_is_left_to_trl(tmp_path, more):
    data = short_rows() * 8
    theirs, ours = (trained(k, tmp_path, data, **more) for k in (SFTTrainer, LedgerSFTTrainer))
    assert ours[0] == theirs[0]
    assert torch.equal(ours[1], theirs[1])
