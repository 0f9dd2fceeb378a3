from types import SimpleNamespace

import pytest
import torch
from families import FAMILIES, make_tokenizer

from handan.generation.formats import FORMATS
from handan.generation.prompting import prompt_ids
from handan.training.rl import LedgerDistillationTrainer, LengthSortedGRPOTrainer, regroup_by_length


def batches():
    """Six completions of lengths 5, 1, 3, 2, 4, 1 in two batches, all padded to five."""
    lengths = torch.tensor([5, 1, 3, 2, 4, 1])
    mask = (torch.arange(5)[None] < lengths[:, None]).long()
    rows = {
        "prompt_ids": torch.arange(6)[:, None].expand(6, 4).clone(),
        "prompt_mask": (torch.arange(4)[None] >= 2).long().expand(6, 4).clone(),
        "completion_ids": torch.arange(6)[:, None] * mask,
        "completion_mask": mask,
        "advantages": torch.arange(6.0),
        "old_per_token_logps": torch.arange(6.0)[:, None] * mask,
    }
    shared = {"num_items_in_batch": torch.tensor(16)}
    return [{key: value[i : i + 3] for key, value in rows.items()} | shared for i in (0, 3)]


def test_rows_keep_together_and_are_sorted_by_length():
    first, second = regroup_by_length(batches())
    lengths = torch.cat([first["completion_mask"].sum(1), second["completion_mask"].sum(1)])
    assert lengths.tolist() == [1, 1, 2, 3, 4, 5]
    for batch in (first, second):
        for row, advantage in enumerate(batch["advantages"]):
            assert (batch["prompt_ids"][row] == advantage).all()
            mask = batch["completion_mask"][row].bool()
            assert (batch["completion_ids"][row][mask] == advantage).all()
            assert (batch["old_per_token_logps"][row][mask] == advantage).all()


def test_common_padding_is_cut_on_the_side_it_is_on():
    first, second = regroup_by_length(batches())
    assert first["completion_ids"].shape == (3, 2)
    assert second["completion_ids"].shape == (3, 5)
    assert first["prompt_ids"].shape == (3, 2)
    assert first["prompt_mask"].all()


def test_no_token_and_no_shared_value_is_lost():
    before, after = batches(), regroup_by_length(batches())
    for key in ("completion_mask", "advantages", "old_per_token_logps"):
        assert sum(b[key].sum() for b in before) == sum(b[key].sum() for b in after)
    assert all(batch["num_items_in_batch"] == 16 for batch in after)


@pytest.mark.parametrize("kind", [LedgerDistillationTrainer, LengthSortedGRPOTrainer])
@pytest.mark.parametrize("name", ["qwen3_no_thinking", "asked_to_think"])
def test_training_asks_as_an_evaluation_does(kind, name):
    tokenizer, form = make_tokenizer(FAMILIES["qwen3"]), FORMATS[name]
    trainer = SimpleNamespace(processing_class=tokenizer, form=form)
    messages = [form.messages(question) for question in ("3 + 4?", "Where?")]
    ids, images, more = kind._tokenize_prompts(trainer, messages)
    assert ids == [list(prompt_ids(tokenizer, q, form)) for q in ("3 + 4?", "Where?")]
    assert images is None and more == {}
