import pytest
from embedded import ROOT, SUITES

from handan import hardware
from handan.errors import UserError
from handan.evaluation import resource_estimate
from handan.evaluation.resource_estimate import (
    GPUS,
    Gpu,
    Work,
    gpus_needed,
    hours,
    layout,
    missing,
    plan_text,
    planned,
    step_seconds,
    training_bytes,
    work_of,
)
from handan.evaluation.suite import load_suite, suite_items
from handan.evaluation.zoo import load_zoo
from handan.hardware import LocalGpu

SEVEN, SEVENTY, R1 = (
    resource_estimate.find(model)
    for model in (
        "Qwen/Qwen2.5-7B-Instruct",
        "meta-llama/Llama-3.3-70B-Instruct",
        "deepseek-ai/DeepSeek-R1",
    )
)
WORK = Work(requests=6000, prompt_tokens=60, tokens=6e6, cap=16384, batch_size=64)


@pytest.fixture(autouse=True)
def _in_the_clone(monkeypatch):
    monkeypatch.chdir(ROOT)


FIRST_OF_EACH = {id(sizes): model for model, sizes in resource_estimate.published().items()}


@pytest.mark.parametrize("model", FIRST_OF_EACH.values())
def test_the_declared_parameters_are_those_of_the_model_class(model):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = resource_estimate.find(model)
    config = dict(sizes.config)
    config = AutoConfig.for_model(config.pop("model_type"), **config)
    with torch.device("meta"):  # shapes only
        built = AutoModelForCausalLM.from_config(config)
    counted = sum(parameter.numel() for parameter in built.parameters())
    assert counted == pytest.approx(sizes.parameters, rel=0.01)


def test_memory_of_known_models():
    assert SEVEN.weight_bytes == pytest.approx(15.2e9, rel=0.01)
    assert SEVEN.cache_bytes_per_token == 2 * 28 * 4 * 128 * 2 == 57_344
    assert SEVENTY.cache_bytes_per_token == 2 * 80 * 8 * 128 * 2 == 327_680
    # DeepSeek's latent cache: 61 layers of 512 + 64 numbers.
    assert R1.cache_bytes_per_token == 61 * 576 * 2 == 70_272


def test_the_fewest_gpus_that_hold_a_model():
    h100, h200 = GPUS["H100"], GPUS["H200"]
    assert layout(SEVEN, WORK, h100, "paged").gpus == 1
    assert layout(SEVENTY, WORK, h100, "paged").gpus == 4
    assert layout(SEVENTY, WORK, h200, "paged").gpus == 2
    assert layout(R1, WORK, h200, "paged").gpus == 8
    assert layout(R1, WORK, h100, "paged").gpus == 16
    assert layout(R1, WORK, GPUS["RTX-4090"], "paged").gpus == 0


def test_gpus_divide_the_attention_heads():
    # 28 heads: four GPUs at most, and these hold 15 GB of weights on cards of 6 GB each.
    small = Gpu(6e9, 1e12)
    work = Work(10, 60, 1e4, 1000, 4)
    assert layout(SEVEN, work, small, "paged").gpus == 4
    smaller = Gpu(3e9, 1e12)
    assert layout(SEVEN, work, smaller, "paged").gpus == 0


def test_transformers_needs_the_cache_of_a_whole_batch_at_the_cap():
    whole = WORK.batch_size * (WORK.prompt_tokens + WORK.cap) * SEVEN.cache_bytes_per_token
    assert whole == pytest.approx(60.3e9, rel=0.01)
    assert layout(SEVEN, WORK, GPUS["H100"], "transformers").gpus == 0
    place = layout(SEVEN, WORK, GPUS["H200"], "transformers")
    assert (place.gpus, place.cache_bytes, place.at_once) == (1, whole, 64)


def test_decoding_speed_is_what_was_measured_elsewhere():
    # About 33,000 tokens/s: 1.5 B parameters at batch 256 on one H200.
    small = resource_estimate.find("Qwen/Qwen2.5-1.5B")
    rate = 256 / step_seconds(small, 256, 2000, 1, GPUS["H200"], "paged")
    assert rate == pytest.approx(33_000, rel=0.2)


def test_hours_grow_with_tokens_and_shrink_with_gpus():
    one, two = (Work(6000, 60, tokens, 16384, 64) for tokens in (3e6, 6e6))
    place = layout(SEVEN, one, GPUS["H100"], "paged")
    short, long = (hours(SEVEN, work, place.gpus, GPUS["H100"], "paged") for work in (one, two))
    assert 2 < long / short < 2.5  # contexts are longer too
    slow = hours(SEVEN, one, place.gpus, GPUS["A100-80GB"], "paged")
    assert slow / short == pytest.approx(3.35 / 2.04)


def test_a_mixture_of_experts_reads_no_more_than_all_of_it():
    alone = step_seconds(R1, 1, 0, 8, GPUS["H200"], "paged")
    many = step_seconds(R1, 64, 0, 8, GPUS["H200"], "paged")
    assert many / alone == pytest.approx(671 / 37)


def test_training_takes_sixteen_bytes_a_parameter():
    states = training_bytes(SEVEN, 1, tokens=0)
    assert states == pytest.approx(16 * 7.616e9)
    assert training_bytes(SEVEN, 8, 0, sharded=True) == pytest.approx(states / 8)
    assert training_bytes(SEVEN, 8, 0) == states
    assert training_bytes(SEVEN, 1, 0, trained=0.01) < states / 7


def test_work_is_what_the_suite_asks():
    suite = load_suite(SUITES / "human.yaml")
    items = suite_items(suite)
    work = work_of(suite, items)
    assert work.requests == 5 * len(items)
    assert work.max_tokens == work.requests * suite.max_new_tokens
    assert 0 < work.tokens < work.max_tokens / 10
    assert 30 < work.prompt_tokens < 200


def test_unknown_lengths_are_taken_at_the_cap():
    suite = load_suite(SUITES / "tiny.yaml")
    items = [entry for entry in suite_items(suite) if entry.item.task == "ordering"]
    work = work_of(suite, items)
    assert work.tokens == work.max_tokens


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without GPU, cache, token and vLLM."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(hardware, "gpus", lambda: [])
    return tmp_path


def paper():
    zoo = load_zoo(ROOT / "eval" / "zoo" / "paper14.yaml")
    return zoo, {entry.name: entry for entry in zoo.models}


def problems(name, gpus=(), engine=None):
    zoo, entries = paper()
    (plan,) = planned(zoo, [entries[name]], WORK, GPUS["H100"], engine)
    return missing(plan, WORK, gpus)


def test_what_is_missing_is_said(bare):
    found = " | ".join(problems("Llama-3.1-8B-Instruct"))
    assert "not in the hub cache" in found
    assert "gated" in found
    assert "vllm is not installed" in found or hardware.installed("vllm")
    assert "does not fit this machine (no GPU)" in found
    assert "fewer than the suite's cap" in " ".join(problems("Qwen2.5-Math-7B"))


def test_what_is_there_is_not_missing(bare, monkeypatch):
    commit = paper()[1]["R1-Distill-Qwen-7B"].revision
    snapshot = bare / "hub/models--deepseek-ai--DeepSeek-R1-Distill-Qwen-7B/snapshots" / commit
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).write_text("")
    (bare / "token").write_text("secret")
    monkeypatch.setattr(hardware, "installed", lambda package: "1.0")
    assert problems("R1-Distill-Qwen-7B", [LocalGpu("H100", 80 * 10**9, True)]) == []
    # A download that was cut off leaves links to files that are not there.
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to(snapshot / "nowhere")
    assert "not in the hub cache" in problems("R1-Distill-Qwen-7B")[0]


def test_a_large_model_needs_several_gpus():
    card = LocalGpu("H100", 80 * 10**9, True)
    model = "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"
    assert not gpus_needed(model, [card])
    assert gpus_needed(model, [card] * 4) == 4


def test_the_plan_names_every_model_and_the_assumptions(bare):
    zoo, entries = paper()
    text = plan_text(zoo, zoo.models, load_suite(SUITES / "human.yaml"), "H200")
    assert all(name in text for name in entries)
    assert "5,980 requests" in text and "planned for H200" in text
    assert "GPU-hours" in text and "GB to download" in text
    assert "their cards recommend another to Qwen2.5-1.5B-Instruct" in text
    assert "secret" not in text


def test_an_unknown_gpu_is_refused(bare):
    zoo, _ = paper()
    with pytest.raises(UserError, match="--gpu H1000: no figures of it; known: A100"):
        plan_text(zoo, zoo.models, load_suite(SUITES / "human.yaml"), "H1000")


def test_a_transformers_batch_that_does_not_fit_has_a_cure(bare):
    found = problems("QwQ-32B", engine="eval/engines/transformers.yaml")
    assert "use engine vllm or a smaller batch_size" in " ".join(found)
