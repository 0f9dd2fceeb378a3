"""Secrets on a command line or in a YAML are refused, and none is repeated."""

import dataclasses
import sys

import pytest
from trl import DistillationConfig, GRPOConfig, ModelConfig, SFTConfig

from handan import config
from handan.cli import command
from handan.config import parse, read_yaml
from handan.errors import UserError
from handan.rundir import facts
from handan.training.settings import NOT_RECORDED

SECRET = "planted-secret-5f1e"
TOKEN = "hf_" + "Abcde" * 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"hub_token: {SECRET}\n", "'hub_token' is for a secret; .* HF_TOKEN"),
        (f"extra_body: {{headers: {{Authorization: Bearer {SECRET}}}}}\n", "'Authorization' is"),
        (f"extra_body: {{api_key: {SECRET}}}\n", "'api_key' is for a secret"),
        (f"extra_body:\n- x-api-key: {SECRET}\n", "'x-api-key' is for a secret"),
        (f"arm: {TOKEN}\n", "looks like an access token"),
        ("base_url: https://me:short@host/v1\n", "an address with a password or key in it"),
        ("base_url: https://host/v1?api_key=short\n", "an address with a password or key"),
        (f"# {SECRET}\narm: x\n", "holds SOME_API_KEY"),
    ],
)
def test_a_secret_in_a_yaml_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as stopped:
        read_yaml(path)
    assert str(path) in str(stopped.value)
    assert SECRET not in str(stopped.value) and TOKEN not in str(stopped.value)


def test_names_of_variables_and_keys_without_a_value_are_no_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    path = tmp_path / "settings.yaml"
    path.write_text("api_key_env: SOME_API_KEY\nhub_token: null\nbase_url: http://host:8000/v1\n")
    assert read_yaml(path)["hub_token"] is None


@pytest.mark.parametrize(
    "words",
    [
        ["--hub_token", SECRET],
        [f"--wandb-api-key={SECRET}"],
        ["--arm", SECRET],
        [f"--arm={TOKEN}"],
        [f"--vllm_server_base_url=https://{SECRET}@host"],
    ],
)
def test_a_secret_on_a_command_line_is_refused(monkeypatch, words):
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    monkeypatch.setattr(sys, "argv", ["x.py", *words])
    for run in (lambda: parse(()), lambda: command(["doctor", *words]), facts):
        with pytest.raises(UserError, match=r"command line.*secrets come from the env") as stopped:
            run()
        assert SECRET not in str(stopped.value) and TOKEN not in str(stopped.value)


def test_a_yaml_does_not_change_the_environment(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("env: {LD_PRELOAD: x}\n")
    monkeypatch.setattr(sys, "argv", ["x.py", "--config", str(tmp_path / "a.yaml")])
    with pytest.raises(UserError, match="'env' would change the environment"):
        parse(())


def test_no_other_key_of_a_recipe_is_taken_for_a_secret():
    names = {
        f.name
        for kind in (SFTConfig, GRPOConfig, DistillationConfig, ModelConfig)
        for f in dataclasses.fields(kind)
    }
    found = {name for name in names if config.KEY.fullmatch(name)}
    assert found == {"hub_token"} and found < set(NOT_RECORDED)
