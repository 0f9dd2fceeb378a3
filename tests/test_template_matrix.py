"""With every packaged template and layout, the whole trace is trained or training is refused."""

import jinja2
import pytest
from embedded import ROOT
from template_cells import KEPT, LAYOUTS, OWN, TRACES, names, outcome, prepared, tokenizer_for

from handan.errors import UserError
from handan.training.labels import IGNORED

# One of each way to keep or lose a trace; the others are behind the marker.
SAMPLE = [
    "deepseek_r1_distill",
    "deepseek_r1_distill_training",
    "gemma4",
    "glm4moe",
    "gptoss",
    "idefics3",
    "llama3",
    "llava_next",
    "nemotron_3_nano",
    "qwen2_5",
    "qwen3",
    "qwen3_5_nothink",
    "qwen3_8",
]
IMAGES_ONLY = {
    *("idefics3", "idefics3_training", "llava_next", "llava_next_training"),
    *("smolvlm", "smolvlm_training"),
}


def whole(tokenizer, rows):
    """Whether reasoning, answer and end are trained in this order, and the question is not."""
    if len(rows) != len(TRACES):
        return False
    for row, trace in zip(rows, TRACES, strict=True):
        trained = [token for token in row["labels"] if token != IGNORED]
        text = tokenizer.decode(trained)
        places = [text.find(trace["reasoning_text"]), text.rfind(trace["answer_text"])]
        places.append(text.rfind(tokenizer.eos_token))
        if -1 in places or places != sorted(places) or trace["question"] in text:
            return False
    return True


def check(name, layout, folder):
    tokenizer = tokenizer_for(name)
    try:
        rows = prepared(tokenizer, layout, str(folder))
    except (UserError, jinja2.TemplateError, ValueError) as error:
        assert str(error).strip()
        return str(error)
    said = outcome(tokenizer, layout, rows)
    assert said == KEPT or " " in said.strip(), said
    assert whole(tokenizer, rows) or said != KEPT
    return said


def check_template(name, folder):
    said = {layout: check(name, layout, folder) for layout in LAYOUTS}
    assert KEPT not in said.values() if name in IMAGES_ONLY else said[OWN] == KEPT
    return said


@pytest.mark.parametrize("name", SAMPLE)
def test_a_trace_is_trained_whole_or_refused(name, tmp_path):
    check_template(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(names()) - set(SAMPLE)))
def test_a_trace_is_trained_whole_or_refused_in_every_other_template(name, tmp_path):
    check_template(name, tmp_path)


@pytest.mark.parametrize("name", sorted(set(names()) - set(SAMPLE) - IMAGES_ONLY))
def test_no_template_can_drop_a_trace_from_own_rows(name, tmp_path):
    assert check(name, OWN, tmp_path) == KEPT


@pytest.mark.parametrize(
    ("name", "layout", "message"),
    [
        ("deepseek_r1_distill", "prompt, completion: inline", "its reasoning is not among"),
        ("qwen2_5", "prompt, completion: reasoning_content", "its reasoning is not among"),
        ("glm4moe", "prompt, completion: inline", "does not end with"),
        ("gptoss", "prompt, completion: inline", "where a prompt of an evaluation has"),
        ("qwen3_8", "prompt, completion: inline", "evaluator finds another reasoning"),
        ("idefics3", OWN, "drops the question"),
    ],
)
def test_known_losses_are_told_by_name(name, layout, message, tmp_path):
    assert message in check(name, layout, tmp_path)


def test_the_table_lists_every_packaged_template():
    table = (ROOT / "docs" / "results" / "template-matrix.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")]
    listed = {row[0].strip("| ") for row in rows} - {"template"}
    assert {name for name in listed if not name.startswith("**")} == set(names())
