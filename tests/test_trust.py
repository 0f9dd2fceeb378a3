"""Models that bring code or pickles along: nothing of it runs unless a YAML names its commit."""

import json
import os
import shutil
import sys
from types import SimpleNamespace

import pytest
from embedded import WEIGHTS

from handan.config import parse
from handan.errors import UserError
from handan.evaluation.resource_estimate import size_of_named
from handan.generation import loading
from handan.generation.engines import load_engine, open_engine
from handan.generation.loading import fingerprint_of, load_config, load_model, load_tokenizer

COMMIT = "0123456789abcdef" * 2 + "01234567"
CODE = """
import os, pathlib
pathlib.Path(os.environ["HANDAN_TEST_MARK"]).touch()
from transformers import LlamaConfig, LlamaForCausalLM
class Config(LlamaConfig):
    model_type = "of_its_own"
class Model(LlamaForCausalLM):
    config_class = Config
"""
AUTO_MAP = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}


def model_with_code(folder, model_type="of_its_own", prefix=""):
    """A shipped model whose files ask for a module that leaves a mark when it is imported."""
    shutil.copytree(WEIGHTS / "base", folder)
    config = json.loads((folder / "config.json").read_text())
    own = {key: prefix + value for key, value in AUTO_MAP.items()}
    config |= {"model_type": model_type, "auto_map": own}
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer |= {"auto_map": {"AutoTokenizer": [None, f"{prefix}own.Tokenizer"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (folder / "own.py").write_text(CODE)
    return folder


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """The file that exists once a model's code has run."""
    monkeypatch.setenv("HANDAN_TEST_MARK", str(tmp_path / "mark"))
    monkeypatch.setattr(sys, "stdin", None)  # nobody is there to say yes
    return tmp_path / "mark"


@pytest.mark.parametrize("prefix", ["", "owner/name--"])
@pytest.mark.parametrize("load", [load_model, load_config])
def test_code_of_a_model_is_not_run_and_the_cure_is_told(tmp_path, mark, load, prefix):
    folder = model_with_code(tmp_path / "model", prefix=prefix)
    with pytest.raises(UserError, match=r"along, which is not run; .* set trust_remote_code"):
        load(str(folder))
    assert size_of_named(str(folder)) is None
    assert not mark.exists()


def test_a_known_architecture_is_loaded_without_the_code_beside_it(tmp_path, mark):
    kind = json.loads((WEIGHTS / "base" / "config.json").read_text())["model_type"]
    folder = model_with_code(tmp_path / "model", kind)
    assert type(load_tokenizer(str(folder))).__module__.startswith("transformers.")
    assert type(load_model(str(folder))[0]).__module__.startswith("transformers.")
    assert not mark.exists()


def test_the_code_of_a_directory_is_never_trusted(tmp_path, mark):
    folder = model_with_code(tmp_path / "model")
    with pytest.raises(UserError, match=r"config.json: names code of the directory itself \(own"):
        load_model(str(folder), trusted=COMMIT)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("trusted", "revision", "message"),
    [
        ("main", "main", "is 'main'; give a commit, 40 hexadecimal digits"),
        (COMMIT[:-1], COMMIT[:-1], "give a commit"),
        (COMMIT, "main", f"names commit {COMMIT} and its revision is main"),
        (COMMIT, None, "its revision is main; let both agree"),
    ],
)
def test_code_is_trusted_at_a_commit_only(trusted, revision, message):
    with pytest.raises(UserError, match=message):
        fingerprint_of("owner/name", revision, trusted)


def test_code_at_the_commit_that_a_yaml_names_is_run(tmp_path, mark, monkeypatch):
    """From the hub's cache, as where a machine has no network."""
    from huggingface_hub import constants
    from transformers.utils import hub

    cache = tmp_path / "cache"
    folder = cache / "models--owner--name" / "snapshots" / COMMIT
    model_with_code(folder)
    shutil.copy(WEIGHTS / "base" / "tokenizer_config.json", folder)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_MODULES_CACHE", str(tmp_path / "modules"), raising=False)
    (tmp_path / "engine.yaml").write_text(f"engine: transformers\ntrust_remote_code: '{COMMIT}'\n")
    settings = load_engine(tmp_path / "engine.yaml")
    with pytest.raises(UserError, match="which is not run"):
        open_engine(load_engine(None), "owner/name", COMMIT)
    assert not mark.exists()
    opened = open_engine(settings, "owner/name", COMMIT)
    assert mark.exists() and type(opened.model).__name__ == "Model"


def recipe(monkeypatch, words=(), **settings):
    monkeypatch.setattr(sys, "argv", ["x.py", "--config", "a.yaml", *words])
    known = {"trust_remote_code": True, "teacher_model_revision": None, "model_revision": COMMIT}
    return loading.trusted_by_recipe(*[SimpleNamespace(**{**known, **settings})] * 2)


def test_a_recipe_trusts_the_commits_that_its_yaml_names(monkeypatch):
    assert recipe(monkeypatch) == (COMMIT, None)
    assert recipe(monkeypatch, teacher_model_revision=COMMIT) == (COMMIT, COMMIT)
    assert recipe(monkeypatch, trust_remote_code=False, model_revision="main") == (None, None)
    with pytest.raises(UserError, match="set 'model_revision' to a commit"):
        recipe(monkeypatch, model_revision="main")
    with pytest.raises(UserError, match="--model_name_or_path: the YAML trusts the code of"):
        recipe(monkeypatch, ["--model_name_or_path", "other/model"])


def test_the_command_line_cannot_trust_code(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x.py", "--trust_remote_code", "true"])
    with pytest.raises(UserError, match="--trust_remote_code: whose code is trusted is said in a"):
        parse(())


def test_attention_is_no_code_of_a_hub_repository(tmp_path):
    with pytest.raises(UserError, match="attn_implementation is 'owner/kernel', code of a hub"):
        load_model(str(WEIGHTS / "base"), attn_implementation="owner/kernel")
    folder = shutil.copytree(WEIGHTS / "base", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["attn_implementation"] = "owner/kernel"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="attn_implementation is 'owner/kernel'"):
        load_model(str(folder))


class Marking:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.environ["HANDAN_TEST_MARK"],)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_pickled_weights_are_refused_and_the_cure_is_told(tmp_path, mark, name):
    import torch

    folder = shutil.copytree(WEIGHTS / "base", tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save(Marking(), folder / name)
    with pytest.raises(UserError, match=rf"{name}: pickled weights can run code .*save_file"):
        load_model(str(folder))
    assert not mark.exists()


def test_a_pickled_adapter_is_refused(tmp_path, mark):
    import torch

    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(WEIGHTS / "base")})
    )
    torch.save(Marking(), tmp_path / "adapter_model.bin")
    with pytest.raises(UserError, match=r"adapter_model.bin: pickled weights can run code"):
        load_model(str(tmp_path))
    assert not mark.exists()


def test_weights_that_lie_beside_a_pickle_are_read_from_safetensors(tmp_path, mark):
    import torch

    folder = shutil.copytree(WEIGHTS / "base", tmp_path / "model")
    torch.save(Marking(), folder / "pytorch_model.bin")
    assert load_model(str(folder))[2] == fingerprint_of(str(WEIGHTS / "base"))
    assert not mark.exists()
