"""Published tokenizers: what is asked, trained and counted with each (``make test-tokenizers``)."""

import copy
import random
from functools import cache
from pathlib import Path

import pytest
import trl
from embedded import ROOT
from test_span_audit import QUESTION, REASONING, text_trace
from tokenizers import Tokenizer

from handan.errors import UserError
from handan.generation.formats import FORMATS, detect
from handan.generation.loading import load_tokenizer
from handan.generation.prompting import prompt_ids
from handan.generation.spans import opened_by_prompt, split_completion, split_text
from handan.training.labels import IGNORED, audit, tokenizer_fingerprint, training_rows

CACHE, SMOLLM2 = ROOT / ".cache" / "tokenizers", ROOT / "models" / "smollm2-135m"
PACKAGED = Path(trl.__file__).parent / "chat_templates"
FOLDERS = {path.name: path for path in sorted(CACHE.glob("*/"))}
FOLDERS |= {"smollm2": SMOLLM2} if SMOLLM2.exists() else {}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CACHE / "complete").exists(), reason="make test-tokenizers"),
]

# A tokenizer, a chat template of TRL's in the place of its own, and the format it shows.
CASES = [
    ("qwen3", None, "qwen3"),
    ("deepseek_v3", None, "plain"),
    ("deepseek_v3", "deepseek_r1_distill", "deepseek_r1"),
    ("llama3_1", None, "plain"),
    ("llama3_1", "llama3_2", "plain"),
    ("gptoss", "gptoss", "gpt_oss"),
    ("gemma3", None, "plain"),
    ("smollm2", None, "plain"),
]


@cache
def loaded(name):
    if name not in FOLDERS:
        pytest.skip(f"no tokenizer of {name}")
    return load_tokenizer(str(FOLDERS[name]))


def real(name, template=None):
    tokenizer = copy.copy(loaded(name))
    if template is not None:
        tokenizer.chat_template = (PACKAGED / f"{template}.jinja").read_text(encoding="utf-8")
    return tokenizer


def student(name, template):
    """Tokenizer and the format it trains in: its own, or the one any model can be asked in."""
    tokenizer = real(name, template)
    form = detect(tokenizer)
    return tokenizer, form if form.thinks else FORMATS["asked_to_think"]


def encode(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


each = pytest.mark.parametrize(("name", "template"), [case[:2] for case in CASES])


@pytest.mark.parametrize(("name", "template", "form"), CASES)
def test_the_format_is_recognised(name, template, form):
    assert detect(real(name, template)).name == form


@pytest.mark.parametrize(
    ("name", "template"), [("gptoss", None), ("gptoss", "llama3"), ("qwen3", "qwen2_5")]
)
def test_tokens_that_mark_reasoning_are_never_taken_for_plain(name, template):
    with pytest.raises(UserError, match=r"is in its vocabulary .* --reasoning_format plain"):
        detect(real(name, template))


@each
def test_a_prompt_is_the_templates_own(name, template):
    tokenizer, form = student(name, template)
    ids = prompt_ids(tokenizer, QUESTION, form)
    own = tokenizer.apply_chat_template(
        form.messages(QUESTION), add_generation_prompt=True, return_dict=False, **form.template
    )
    if "strftime_now" not in tokenizer.chat_template:
        assert list(ids) == own
    assert len(ids) == len(own) and own[1] != tokenizer.bos_token_id


@pytest.mark.parametrize(
    ("name", "template", "date"),
    [
        ("llama3_1", "llama3_2", "Today Date: 01 Jan 2026\n"),
        ("gptoss", "gptoss", "Current date: 2026-01-01\n"),
    ],
)
def test_a_prompt_with_a_date_is_the_same_on_every_day(name, template, date):
    tokenizer, form = student(name, template)
    assert date in tokenizer.decode(prompt_ids(tokenizer, QUESTION, form))


@each
def test_a_trace_is_trained_whole_after_the_prompt_of_an_evaluation(name, template):
    tokenizer, form = student(name, template)
    trace = text_trace()
    (row,) = rows = training_rows([trace], tokenizer, form, "t")
    counts = audit(rows, rows, [trace], tokenizer, form, "t")
    masked = row["labels"].count(IGNORED)
    prompt, completion = row["input_ids"][:masked], row["labels"][masked:]
    assert tuple(prompt) == prompt_ids(tokenizer, QUESTION, form)
    assert completion[-1] == tokenizer.eos_token_id not in completion[:-1]
    opened = opened_by_prompt(tokenizer, prompt, form)
    split = split_completion(tokenizer, completion, form, opened, [tokenizer.eos_token_id])
    assert tokenizer.decode(split.reasoning_ids).strip() == REASONING
    assert (split.answer_head + tokenizer.decode(split.answer_ids)).strip() == "south"
    assert counts["reasoning_tokens"] == len(split.reasoning_ids)
    # As one of its own: a student of the same tokenizer is trained on the same ids.
    own = {"completion_ids": completion, "tokenizer": tokenizer_fingerprint(tokenizer)}
    own["reasoning_tokens"] = len(split.reasoning_ids)
    again = training_rows([text_trace(**own)], tokenizer, form, "t")
    assert again == rows


@each
def test_a_plain_model_cannot_be_trained_on_reasoning(name, template):
    with pytest.raises(UserError, match="'plain' has no span"):
        training_rows([text_trace()], real(name, template), FORMATS["plain"], "t")


def marked(tokenizer, form, reasoning, answer):
    """Ids between the ids of marks; what the model may write, merged with nothing."""
    close = form.close + "<|start|>assistant" + form.answer if form.answer else form.close
    ends = [tokenizer.eos_token_id]
    return [*encode(tokenizer, form.open), *reasoning, *encode(tokenizer, close), *answer, *ends]


def holds(tokenizer, ids, form):
    return any(set(tokenizer.decode([i])) & set("<>/|") for i in ids)


@each
def test_any_ids_between_the_marks_are_counted_exactly(name, template):
    tokenizer, form = student(name, template)
    draw, ends = random.Random(0), [tokenizer.eos_token_id]
    words = sorted({*range(len(tokenizer))} - {*tokenizer.added_tokens_decoder})
    for _ in range(100):
        reasoning, answer = (draw.choices(words, k=draw.randrange(1, 9)) for _ in range(2))
        if holds(tokenizer, reasoning + answer, form):
            continue
        ids = marked(tokenizer, form, reasoning, answer)
        split = split_completion(tokenizer, ids, form, False, ends)
        blank = not tokenizer.decode(reasoning).strip()
        assert split.reasoning_ids == ([] if blank else reasoning), tokenizer.decode(ids)
        assert split.answer_ids == answer, tokenizer.decode(ids)
        assert split.closed and split.ended


SPACES = ["", " ", "\n", "\n\n", "\n\n\n", " \n", "\t", "\r\n", "\u00a0", "\u3000"]
SAID = ["So it is 12.", "∴ x² = 4", "그래서 🙂", "👩\u200d👧 e\u0301", "𓀀", "a <b> c", "1234567"]
SAID += ["```py\nx = 1\n```"]


@each
def test_text_and_its_ids_are_cut_alike_whatever_stands_beside_the_marks(name, template):
    tokenizer, form = student(name, template)
    draw, ends = random.Random(0), [tokenizer.eos_token_id]
    for _ in range(100):
        a, b, c, d = (draw.choice(SPACES) for _ in range(4))
        close = form.close + "<|start|>assistant" + form.answer if form.answer else form.close
        text = f"{form.open}{a}{draw.choice(SAID)}{b}{close}{c}{draw.choice(SAID)}{d}"
        ids = [*encode(tokenizer, text), *ends]
        reasoning, answer, *_ = split_text(tokenizer.decode(ids[:-1]), form, False)
        split = split_completion(tokenizer, ids, form, False, ends)
        told = split.answer_head + tokenizer.decode(split.answer_ids)
        assert tokenizer.decode(split.reasoning_ids).strip() == reasoning.strip(), text
        assert told.strip() == answer.strip(), text


@pytest.mark.parametrize("name", list(FOLDERS))
def test_loading_and_saving_change_no_id(name, tmp_path):
    tokenizer = real(name)
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert tokenizer_fingerprint(again) == tokenizer_fingerprint(tokenizer)
    reader = Tokenizer.from_file(str(FOLDERS[name] / "tokenizer.json"))
    for text in [*SAID, *SPACES, QUESTION, REASONING, FORMATS["magistral"].system_prompt]:
        ids = encode(tokenizer, text)
        assert encode(again, text) == ids == reader.encode(text, add_special_tokens=False).ids
