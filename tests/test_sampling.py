import pytest
import torch
from embedded import WEIGHTS, load
from scipy import stats
from transformers import AutoModelForCausalLM

from handan.generation import prompting
from handan.generation.formats import FORMATS
from handan.generation.loading import eos_ids
from handan.generation.prompting import Decoding
from handan.generation.sampling import SeededSampling, gumbel_noise, response_seed
from handan.generation.transformers_engine import complete, halve_weights

DECODING = Decoding(temperature=1.0, top_p=1.0, max_new_tokens=80)


def completions(questions, seeds, decoding=DECODING):
    model, tokenizer = load()
    prompts = [prompting.prompt_ids(tokenizer, q, FORMATS["tiny"]) for q in questions]
    return complete(model, prompts, decoding, eos_ids(model, tokenizer), seeds)


QUESTIONS = ["+ 1 1 ; 0 1 ; =", "sum 5 2 ; 4 7 ; =", "B > C ; A > B ; ? C A =", "+ 1 0 ; ="]


def test_the_noise_is_standard_gumbel_and_independent():
    seeds = torch.tensor([response_seed(i) for i in range(40)])
    noise = torch.stack([gumbel_noise(seeds, position, 50) for position in range(20)])
    flat = noise.double().flatten().numpy()
    assert stats.kstest(flat, "gumbel_r").pvalue > 0.001
    # Neighbours along every axis: positions, seeds, tokens.
    for axis in range(3):
        a = noise.narrow(axis, 0, noise.shape[axis] - 1).flatten()
        b = noise.narrow(axis, 1, noise.shape[axis] - 1).flatten()
        assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1]) < 0.03


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.6)])
def test_draws_follow_the_probabilities(temperature, top_p):
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    seeds = [response_seed("draw", i) for i in range(8000)]
    sampling = SeededSampling(seeds, temperature, top_p, 3, 0)
    rows = sampling(torch.zeros(8000, 3, dtype=torch.long), logits.expand(8000, 4))
    found = torch.bincount(rows.argmax(1), minlength=4)
    wanted = torch.softmax(logits.double() / temperature, 0)
    if top_p < 1:  # .64 is the smallest nucleus of at least .6
        assert found.tolist() == [8000, 0, 0, 0]
    else:
        assert stats.chisquare(found, wanted * 8000).pvalue > 0.001


def test_a_completion_does_not_depend_on_its_batch():
    seeds = [response_seed("batch", i) for i in range(4)]
    together = completions(QUESTIONS, seeds)
    alone = [completions([q], [s])[0] for q, s in zip(QUESTIONS, seeds, strict=True)]
    assert together == alone
    assert max(map(len, together)) > 32  # more than one stage
    torch.manual_seed(5)
    assert completions(QUESTIONS[::-1], seeds[::-1]) == together[::-1]


def test_seeds_make_different_completions_and_leave_the_random_state_alone():
    before = torch.random.get_rng_state()
    drawn = completions(QUESTIONS[:1] * 6, [response_seed(i) for i in range(6)])
    assert len({tuple(ids) for ids in drawn}) > 1
    assert torch.equal(torch.random.get_rng_state(), before)


def test_temperature_zero_is_greedy_whatever_the_seed():
    greedy = Decoding(0.0, 1.0, 80)
    drawn = completions(QUESTIONS, [1, 2, 3, 4], greedy)
    assert drawn == completions(QUESTIONS, None, greedy)


def test_weights_cast_once_give_what_autocast_gives_at_every_token():
    prompt = torch.tensor([prompting.prompt_ids(load()[1], QUESTIONS[0], FORMATS["tiny"])])
    model = AutoModelForCausalLM.from_pretrained(WEIGHTS / "base").eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        cast_each_time = model(prompt).logits
        kept = halve_weights(model, "bf16")
        cast_once = model(prompt).logits
    assert torch.equal(cast_once, cast_each_time)
    assert not torch.equal(cast_once.float(), load()[0](prompt).logits)
    assert {layer.weight.dtype for layer, _ in kept} == {torch.bfloat16}
    assert model.get_input_embeddings().weight.dtype == torch.float32
