"""Each format on a byte-level BPE with its family's special tokens and chat template."""

import copy
from functools import cache
from pathlib import Path

import pytest
import trl
from embedded import load
from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from handan.errors import UserError
from handan.generation.formats import FORMATS, choose, choose_for, detect
from handan.generation.prompting import prompt_ids
from handan.generation.spans import opened_by_prompt, split_completion, split_text

OURS = Path(__file__).parent / "templates"
PACKAGED = Path(trl.__file__).parent / "chat_templates"
CORPUS = ["so we add three and four, wait, that is seven. thinking hard about carries.\n"] * 9
QWEN = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
MISTRAL = ["<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]
BAR = "\uff5c"  # the full-width bar of DeepSeek's special tokens
SENTENCE = ("begin▁of▁sentence", "end▁of▁sentence")
R1 = [f"<{BAR}{name}{BAR}>" for name in (*SENTENCE, "User", "Assistant")]
HARMONY = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>"]
# Of each family: template, special tokens, tags that are tokens but not special, begin, end.
FAMILIES = {
    "deepseek_r1": ("deepseek_r1_distill", R1, ["<think>", "</think>"], R1[0], R1[1]),
    "deepseek_r1_first": ("deepseek_r1_first", R1, [], R1[0], R1[1]),
    "qwen3": ("qwen3", QWEN, ["<think>", "</think>"], None, "<|im_end|>"),
    "qwen3_5": ("qwen3_5_think", QWEN, ["<think>", "</think>"], None, "<|im_end|>"),
    "qwq": ("qwq", QWEN, ["<think>", "</think>"], None, "<|im_end|>"),
    "olmo3_think": ("olmo3_think", QWEN, [], None, "<|im_end|>"),
    "gpt_oss": ("gptoss", HARMONY, [], None, "<|return|>"),
    "magistral": ("magistral", [*MISTRAL, "[THINK]", "[/THINK]"], [], "<s>", "</s>"),
    "magistral_2506": ("magistral_2506", MISTRAL, [], "<s>", "</s>"),
    "qwen2_5": ("qwen2_5", QWEN, [], None, "<|im_end|>"),
    "base": (None, ["<|endoftext|>"], [], None, "<|endoftext|>"),
}


@cache
def tokenizer(family):
    template, special, added, begin, end = FAMILIES[family]
    bpe = Tokenizer(BPE())
    bpe.pre_tokenizer = ByteLevel(add_prefix_space=False)
    bpe.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        special_tokens=special, initial_alphabet=ByteLevel.alphabet(), vocab_size=320
    )
    bpe.train_from_iterator(CORPUS, trainer)
    bpe.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in added])
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=begin, eos_token=end)
    fast.add_special_tokens({"additional_special_tokens": special})
    if template is not None:
        folder = OURS if (OURS / f"{template}.jinja").exists() else PACKAGED
        fast.chat_template = (folder / f"{template}.jinja").read_text()
    return fast


def encode(family, text):
    return tokenizer(family)(text, add_special_tokens=False)["input_ids"]


def opened(family, name):
    form, words = FORMATS[name], tokenizer(family)
    return opened_by_prompt(words, prompt_ids(words, "3 + 4?", form), form)


def split(family, name, text):
    words = tokenizer(family)
    found = split_completion(
        words, encode(family, text), FORMATS[name], opened(family, name), [words.eos_token_id]
    )
    return found


# Thoughts and an answer whose tokens do not merge with what stands beside them.
THOUGHT, MORE, ANSWER = "we add three and four, wait,", "that is seven.", "seven"
N = {text: len(encode("qwen3", text)) for text in (THOUGHT, MORE, ANSWER)}
ANALYSIS, FINAL = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"
NEXT = "<|end|><|start|>assistant"


@pytest.mark.parametrize(
    ("family", "name", "prefilled", "text", "reasoning", "answer"),
    [
        # R1: the prompt ends with the opening tag, and only the closing one is generated.
        (
            *("deepseek_r1", "deepseek_r1", True),
            f"{THOUGHT}</think>{ANSWER}{R1[1]}",
            *(N[THOUGHT], N[ANSWER]),
        ),
        # Its first template left the opening tag to the model; here it is cut into pieces.
        (
            *("deepseek_r1_first", "deepseek_r1", False),
            f"<think>{THOUGHT}</think>{ANSWER}{R1[1]}",
            *(N[THOUGHT], N[ANSWER]),
        ),
        (
            *("qwen3", "qwen3", False),
            f"<think>{THOUGHT}</think>{ANSWER}<|im_end|>",
            *(N[THOUGHT], N[ANSWER]),
        ),
        ("qwen3", "qwen3_no_thinking", False, f"{ANSWER}<|im_end|>", 0, N[ANSWER]),
        (
            *("qwen3_5", "qwen3_5", True),
            f"{THOUGHT}</think>{ANSWER}<|im_end|>",
            *(N[THOUGHT], N[ANSWER]),
        ),
        ("qwen3_5", "qwen3_5_no_thinking", False, f"{ANSWER}<|im_end|>", 0, N[ANSWER]),
        ("qwq", "qwq", True, f"{THOUGHT}</think>{ANSWER}<|im_end|>", N[THOUGHT], N[ANSWER]),
        (
            *("olmo3_think", "olmo3_think", True),
            f"{THOUGHT}</think>{ANSWER}<|im_end|>",
            *(N[THOUGHT], N[ANSWER]),
        ),
        # Several analyses are added up; a commentary is neither reasoning nor answer.
        (
            *("gpt_oss", "gpt_oss", False),
            f"{ANALYSIS}{THOUGHT}{NEXT}<|channel|>commentary<|message|>so{NEXT}"
            f"{ANALYSIS}{MORE}{NEXT}{FINAL}{ANSWER}<|return|>",
            *(N[THOUGHT] + N[MORE], N[ANSWER]),
        ),
        ("gpt_oss", "gpt_oss", False, f"{FINAL}{ANSWER}<|return|>", 0, N[ANSWER]),
        (
            *("magistral", "magistral", False),
            f"[THINK]{THOUGHT}[/THINK]{ANSWER}</s>",
            *(N[THOUGHT], N[ANSWER]),
        ),
        (
            *("magistral_2506", "magistral_2506", False),
            f"<think>{THOUGHT}</think>{ANSWER}</s>",
            *(N[THOUGHT], N[ANSWER]),
        ),
        (
            *("qwen2_5", "asked_to_think", False),
            f"<think>{THOUGHT}</think>{ANSWER}<|im_end|>",
            *(N[THOUGHT], N[ANSWER]),
        ),
        (
            *("base", "asked_to_think", False),
            f"<think>{THOUGHT}</think>{ANSWER}<|endoftext|>",
            *(N[THOUGHT], N[ANSWER]),
        ),
        ("qwen2_5", "plain", False, f"{THOUGHT}{ANSWER}<|im_end|>", 0, N[THOUGHT] + N[ANSWER]),
        ("base", "plain", False, f"{THOUGHT}{ANSWER}<|endoftext|>", 0, N[THOUGHT] + N[ANSWER]),
    ],
)
def test_a_complete_response_of_each_format(family, name, prefilled, text, reasoning, answer):
    assert opened(family, name) == prefilled
    found = split(family, name, text)
    assert (len(found.reasoning_ids), len(found.answer_ids)) == (reasoning, answer)
    assert found.closed and found.ended
    assert tokenizer(family).decode(found.answer_ids).endswith(ANSWER)


@pytest.mark.parametrize(
    ("family", "name", "text", "reasoning", "answer", "closed"),
    [
        ("deepseek_r1", "deepseek_r1", THOUGHT, N[THOUGHT], 0, False),
        ("qwen3", "qwen3", f"<think>{THOUGHT}", N[THOUGHT], 0, False),
        ("qwen3", "qwen3", f"<think>{THOUGHT}</think>{ANSWER}", N[THOUGHT], N[ANSWER], True),
        ("gpt_oss", "gpt_oss", f"{ANALYSIS}{THOUGHT}", N[THOUGHT], 0, False),
        ("gpt_oss", "gpt_oss", f"{ANALYSIS}{THOUGHT}{NEXT}", N[THOUGHT], 0, True),
        ("magistral", "magistral", f"[THINK]{THOUGHT}", N[THOUGHT], 0, False),
        ("qwen2_5", "plain", THOUGHT, 0, N[THOUGHT], True),
    ],
)
def test_a_truncated_response_of_each_kind(family, name, text, reasoning, answer, closed):
    found = split(family, name, text)
    assert (len(found.reasoning_ids), len(found.answer_ids)) == (reasoning, answer)
    assert (found.closed, found.ended) == (closed, False)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "deepseek_r1_first"])
def test_the_template_shows_the_format(family):
    expected = {"qwen2_5": "plain", "base": "plain"}.get(family, family)
    assert detect(tokenizer(family)).name == expected


def test_the_first_r1_template_and_the_embedded_world_are_recognised():
    assert detect(tokenizer("deepseek_r1_first")).name == "deepseek_r1"
    assert detect(load()[1]).name == "tiny"


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("llama3_1", "plain"),
        ("qwen3_instruct_2507", "plain"),
        ("qwen3_6", "qwen3_5"),
        ("deepseekv3", "deepseek_r1"),
        ("gemma4", None),
    ],
)
def test_other_packaged_templates_are_recognised_or_refused(template, name):
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE()), bos_token="<s>")
    words.chat_template = (PACKAGED / f"{template}.jinja").read_text()
    if name is None:
        with pytest.raises(UserError, match=r"pass --reasoning_format NAME; known: tiny, deepseek"):
            detect(words)
    else:
        assert detect(words).name == name


def test_an_unknown_format_is_named():
    with pytest.raises(UserError, match=r"'r2' is not known; known: auto, tiny"):
        choose("r2", tokenizer("base"))


def test_a_trained_run_keeps_the_format_it_was_given(tmp_path):
    words = tokenizer("qwen2_5")
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / "run.json").write_text('{"training": {"reasoning_format": "deepseek_r1"}}')
    assert choose_for(str(tmp_path), "auto", words).name == "deepseek_r1"
    assert choose_for(str(tmp_path / "checkpoint-5"), "auto", words).name == "deepseek_r1"
    assert choose_for(str(tmp_path / "elsewhere"), "auto", words).name == "plain"
    assert choose_for(str(tmp_path), "plain", words).name == "plain"


def test_thinking_that_is_switched_off_leaves_an_empty_span_in_the_prompt():
    words = tokenizer("qwen3")
    off = words.decode(prompt_ids(words, "3 + 4?", FORMATS["qwen3_no_thinking"]))
    assert off.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert words.decode(prompt_ids(words, "3 + 4?", FORMATS["qwen3"])).endswith("assistant\n")
    assert not FORMATS["qwen3_no_thinking"].thinks and not FORMATS["plain"].thinks


def test_magistral_is_asked_to_think():
    words = tokenizer("magistral")
    text = words.decode(prompt_ids(words, "3 + 4?", FORMATS["magistral"]))
    assert text.startswith("<s>[SYSTEM_PROMPT]First draft your thinking process")
    assert text.endswith("[/SYSTEM_PROMPT][INST]3 + 4?[/INST]")


def test_any_model_can_be_asked_to_think():
    form = FORMATS["asked_to_think"]
    chat, base = tokenizer("qwen2_5"), tokenizer("base")
    text = chat.decode(prompt_ids(chat, "3 + 4?", form))
    assert text.startswith(f"<|im_start|>system\n{form.system_prompt}<|im_end|>")
    assert base.decode(prompt_ids(base, "3 + 4?", form)) == f"{form.system_prompt}\n\n3 + 4?\n"


def test_a_prompt_is_the_same_on_every_day():
    text = tokenizer("gpt_oss").decode(
        prompt_ids(tokenizer("gpt_oss"), "3 + 4?", FORMATS["gpt_oss"])
    )
    assert "Current date: 2026-01-01" in text and "Reasoning: medium" in text


@pytest.mark.parametrize("effort", ["low", "high"])
def test_an_effort_changes_the_prompt_alone(effort):
    usual, other = FORMATS["gpt_oss"], FORMATS[f"gpt_oss_{effort}"]
    text = tokenizer("gpt_oss").decode(prompt_ids(tokenizer("gpt_oss"), "3 + 4?", other))
    assert f"Reasoning: {effort}" in text
    assert (usual.open, usual.close, usual.answer) == (other.open, other.close, other.answer)
    assert usual.fingerprint != other.fingerprint


def test_the_first_closing_tag_ends_the_span_and_tags_inside_it_are_words():
    found = split("qwen3", "qwen3", "<think>so<think>wait</think>seven</think>four<|im_end|>")
    decode = tokenizer("qwen3").decode
    assert decode(found.reasoning_ids) == "so<think>wait"
    assert decode(found.answer_ids) == "seven</think>four"
    again = split("deepseek_r1", "deepseek_r1", "<think>so</think>seven<think>wait</think>")
    assert tokenizer("deepseek_r1").decode(again.reasoning_ids) == "so"
    assert tokenizer("deepseek_r1").decode(again.answer_ids) == "seven<think>wait</think>"


def test_special_tags_that_vanish_from_text_are_found_in_the_ids():
    words = tokenizer("magistral")
    ids = encode("magistral", f"[THINK]{THOUGHT}[/THINK]{ANSWER}</s>")
    assert words.decode(ids, skip_special_tokens=True) == THOUGHT + ANSWER
    assert len(split("magistral", "magistral", words.decode(ids)).reasoning_ids) == N[THOUGHT]


def test_padding_that_is_the_end_of_sequence_token_ends_nothing():
    # Of a tokenizer with pad = eos: one end of sequence is the response's, the rest is padding.
    ids = encode("qwen3", f"<think>{THOUGHT}</think>{ANSWER}<|im_end|>")
    end = tokenizer("qwen3").eos_token_id
    assert ids.count(end) == 1
    found = split_completion(tokenizer("qwen3"), ids, FORMATS["qwen3"], False, [end])
    assert found.ended and end not in found.answer_ids
    cut = split_completion(tokenizer("qwen3"), ids[:-1], FORMATS["qwen3"], False, [end])
    assert not cut.ended and cut.answer_ids == found.answer_ids


@pytest.mark.parametrize(
    ("name", "text", "opened_before", "expected"),
    [
        ("deepseek_r1", "so</think>seven", True, ("so", "seven", True)),
        ("qwen3", "<think>so", False, ("so", "", False)),
        ("qwen3", "seven", False, ("", "seven", True)),
        ("plain", "<think>so</think>seven", False, ("", "<think>so</think>seven", True)),
        (
            "gpt_oss",
            f"{ANALYSIS}so{NEXT}{ANALYSIS}wait{NEXT}{FINAL}seven",
            False,
            ("sowait", "seven", True),
        ),
    ],
)
def test_text_is_cut_by_the_same_rules(name, text, opened_before, expected):
    assert split_text(text, FORMATS[name], opened_before)[:3] == expected


@pytest.mark.parametrize("family", ["gpt_oss", "magistral", "qwen3"])
def test_marks_of_reasoning_without_a_chat_template_are_not_taken_for_plain(family):
    words = copy.deepcopy(tokenizer(family))
    words.chat_template = None
    with pytest.raises(UserError, match=r"is in its vocabulary and it has no chat template"):
        choose("auto", words)
    assert choose("plain", words).name == "plain"


def with_template(family, template):
    words = copy.deepcopy(tokenizer(family))
    words.chat_template = template
    return words


def test_marks_of_reasoning_that_the_template_does_not_use_are_not_taken_for_plain():
    words = with_template("qwen3", tokenizer("qwen2_5").chat_template)
    with pytest.raises(UserError, match="'<think>' is in its vocabulary and it has no chat templ"):
        choose("auto", words)


def test_a_template_that_speaks_of_thinking_and_fails_is_told():
    words = with_template("base", "{{ messages[0].content.parts.text }}{{ enable_thinking }}")
    with pytest.raises(UserError, match="does not take a plain question"):
        detect(words)


def test_a_template_that_drops_the_system_prompt_stops():
    words = with_template("base", "{{ messages[-1].content }}")
    assert prompt_ids(words, "3 + 4?", FORMATS["plain"])
    with pytest.raises(UserError, match="drops the system prompt of reasoning_format 'asked_to"):
        prompt_ids(words, "3 + 4?", FORMATS["asked_to_think"])


@pytest.mark.parametrize("name", ["qwen3", "qwen3_no_thinking", "gpt_oss"])
def test_a_switch_that_the_template_does_not_know_stops(name):
    with pytest.raises(UserError, match=f"does not know '.*', which reasoning_format '{name}'"):
        prompt_ids(tokenizer("qwen2_5"), "3 + 4?", FORMATS[name])
