import copy
from types import SimpleNamespace

import pytest
from embedded import WEIGHTS, load

from handan.errors import UserError
from handan.files import write_json
from handan.generation import loading
from handan.training.resume import check_shared_vocabulary, check_sources, lineage
from handan.training.settings import check_adapters


def run_directory(folder, **training):
    folder.mkdir(parents=True, exist_ok=True)
    for path in (WEIGHTS / "base").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    write_json(folder / "run.json", {"arm": "sft", "training": training})
    return folder


def test_a_model_that_was_not_trained_here_has_no_lineage(tmp_path):
    assert lineage(WEIGHTS / "base") is None
    write_json(tmp_path / "run.json", {"arm": "base", "evaluation": {}})
    assert lineage(tmp_path) is None


def test_a_run_is_followed_to_its_first_ancestor(tmp_path):
    first = {"arm": "cold", "run": "x", "budget": {"trained_tokens": 3}, "started_from": None}
    folder = run_directory(
        tmp_path / "sft", finished=True, budget={"trained_tokens": 7}, started_from=first
    )
    found = lineage(folder)
    assert found["arm"] == "sft"
    assert found["budget"] == {"trained_tokens": 7}
    assert found["started_from"] == first
    assert found["began_with"] is None
    (folder / "config.yaml").write_text("training: {model_fingerprint: base}\n")
    assert lineage(folder)["began_with"] == "base"
    assert found["model_fingerprint"] == loading.model_fingerprint(WEIGHTS / "base")


def test_a_checkpoint_has_cost_what_was_spent_until_then(tmp_path):
    folder = run_directory(tmp_path / "sft", budget={"trained_tokens": 7})
    checkpoint = run_directory(folder / "checkpoint-2")
    write_json(checkpoint / "ledger.json", {"trained_tokens": 2})
    assert lineage(checkpoint)["budget"] == {"trained_tokens": 2}


def test_an_unfinished_run_is_no_beginning(tmp_path):
    folder = run_directory(tmp_path / "sft")
    with pytest.raises(UserError, match="its training is not finished"):
        loading.fingerprint_of(str(folder))


def test_a_run_does_not_go_on_with_other_traces_or_another_teacher(tmp_path):
    teacher = {"arm": "t", "model_fingerprint": "1"}
    run_directory(tmp_path, traces="a", prompts="p", teacher=teacher)
    same = {"traces": "a", "prompts": "p", "teacher": {"arm": "t", "model_fingerprint": "1"}}
    check_sources(tmp_path, same)
    with pytest.raises(UserError, match="was begun with other prompts"):
        check_sources(tmp_path, same | {"prompts": "q"})
    with pytest.raises(UserError, match="was begun with other traces"):
        check_sources(tmp_path, same | {"traces": "b"})
    with pytest.raises(UserError, match="was begun with another teacher"):
        check_sources(tmp_path, same | {"teacher": {"arm": "t", "model_fingerprint": "2"}})


def test_teacher_and_student_must_share_every_token():
    model, tokenizer = load()
    teacher, _ = load("teacher_cold_start")
    check_shared_vocabulary(model, tokenizer, teacher, tokenizer, "t")
    other = copy.deepcopy(tokenizer)
    other.add_tokens(["邯鄲"])
    with pytest.raises(UserError, match=r"t: teacher and student do not share .* such as '邯鄲'"):
        check_shared_vocabulary(model, tokenizer, teacher, other, "t")
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(vocab_size=64))
    with pytest.raises(UserError, match=r"64 and 4[0-9] tokens, 0 of them different"):
        check_shared_vocabulary(model, tokenizer, SimpleNamespace(config=config), tokenizer, "t")


def settings(**more):
    return SimpleNamespace(
        **{"use_peft": False, "load_in_4bit": False, "load_in_8bit": False, **more}
    )


def test_adapter_settings_are_whole_or_absent():
    check_adapters(settings(), {"model_name_or_path"})
    whole = {"lora_r", "lora_alpha", "lora_dropout", "lora_target_modules"}
    check_adapters(settings(use_peft=True), whole)
    with pytest.raises(UserError, match="set 'lora_target_modules' too"):
        check_adapters(settings(use_peft=True), whole - {"lora_target_modules"})
    with pytest.raises(UserError, match="'lora_r' has no effect: set use_peft to true"):
        check_adapters(settings(), {"lora_r"})
