"""Packing: nothing is lost, and no trace is visible to another."""

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from embedded import load
from trl import SFTConfig, SFTTrainer, pack_dataset
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from handan.errors import UserError
from handan.training.labels import IGNORED, check_whole
from handan.training.sft import LeakCheck


def rows():
    """Rows of 9 to 20 tokens, each with a prompt of four that has no loss."""
    _, tokenizer = load()
    texts = [
        "<bos> + 1 1 <think> so now </think> 1 0 <eos>",
        "<bos> + 1 0 <think> 1 + 0 = 1 , 1 + 0 = 1 , </think> 1 1 <eos>",
        "<bos> sum 5 <think> 5 + 2 = 7 , 4 + 7 = 1 , carry 1 </think> 1 <eos>",
        "<bos> - 1 0 <think> </think> 1 0 <eos>",
        "<bos> + 0 0 <think> 0 + 0 = 0 , </think> 0 0 <eos>",
    ]
    ids = [tokenizer(text)["input_ids"] for text in texts]
    return [{"input_ids": i, "labels": [IGNORED] * 5 + i[5:]} for i in ids]


def packed(length=40, strategy="bfd"):
    return list(pack_dataset(Dataset.from_list(rows()), length, strategy))


def collator(padding_free):
    return DataCollatorForLanguageModeling(pad_token_id=0, padding_free=padding_free)


def test_packed_rows_hold_every_trace_whole_and_once():
    longest = max(len(row["input_ids"]) for row in rows())
    assert len(packed(longest)) < len(rows())
    check_whole(packed(longest), rows(), "t")
    check_whole(packed(), rows(), "t")


def test_a_cut_trace_stops():
    with pytest.raises(UserError, match=r"t, line \d: the trace is not whole .* max_length to at"):
        check_whole(packed(12), rows(), "t")


def test_a_split_trace_stops():
    with pytest.raises(UserError, match="the trace is not whole"):
        check_whole(packed(12, "bfd_split"), rows(), "t")


def test_a_dropped_and_a_doubled_trace_stop():
    with pytest.raises(UserError, match="not whole"):
        check_whole(packed()[:-1], rows(), "t")
    with pytest.raises(UserError, match="packed rows hold 5 pieces that are no traces"):
        check_whole(packed() + packed(), rows(), "t")


def test_a_packed_batch_has_the_loss_of_the_unpacked_one():
    model, _ = load()
    losses = []
    for batch in (collator(True)(packed()), collator(False)(rows())):
        labels = batch.pop("labels")
        logits = model(**batch, use_cache=False).logits
        flat = (logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        losses.append(torch.nn.functional.cross_entropy(*flat, reduction="sum").item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def trainer(tmp_path, **more):
    model, tokenizer = load()
    settings = {"packing": True, "max_length": 40, "use_cpu": True, "bf16": False, **more}
    config = SFTConfig(
        output_dir=str(tmp_path), gradient_checkpointing=False, report_to="none", **settings
    )
    data = Dataset.from_list(rows())
    made = SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)
    made.model_wrapped = made.model
    return made


def test_traces_that_are_kept_apart_pass(tmp_path):
    LeakCheck(trainer(tmp_path)).on_train_begin(None, None, None)


def test_traces_that_read_each_other_stop(tmp_path):
    leaking = trainer(tmp_path)
    whole = leaking.data_collator

    def without_positions(batch):
        return {k: v for k, v in whole(batch).items() if k in ("input_ids", "labels")}

    leaking.data_collator = without_positions
    with pytest.raises(UserError, match="read the ones before them under attn_implementation sdpa"):
        LeakCheck(leaking).on_train_begin(None, None, None)


def test_without_two_traces_in_a_row_there_is_nothing_to_check():
    alone = SimpleNamespace(train_dataset=packed(20)[:1])
    assert len(alone.train_dataset[0]["seq_lengths"]) == 1
    LeakCheck(alone).on_train_begin(None, None, None)
