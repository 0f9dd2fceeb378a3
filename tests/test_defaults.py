"""Defaults of TRL and transformers that change the loss, sampling or length stay what they were.

``defaults.json`` holds those of all settings but the ones it names as being of no matter, with the
releases they were read at. A default that has moved, a setting that is new and one that is gone
each fail until somebody has judged it: a key that must be set, one that is refused, or one of no
matter. Then ``python tests/test_defaults.py`` writes the file anew.
"""

import dataclasses
import json
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from transformers import GenerationConfig
from transformers.trainer_pt_utils import AcceleratorConfig
from trl import DistillationConfig, GRPOConfig, ModelConfig, SFTConfig

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_name("defaults.json")
KINDS = (SFTConfig, GRPOConfig, DistillationConfig, ModelConfig, AcceleratorConfig)
READ = ("trl", "transformers")


def kept():
    """What was read last, and the settings that are of no matter, by the reason."""
    return json.loads(FILE.read_text())


NO_MATTER = {name for names in kept()["no_matter"].values() for name in names.split()}


def defaults():
    """The default of every setting that matters, by kind and name."""
    found = {kind.__name__: dict(fields(kind)) for kind in KINDS}
    generation = GenerationConfig()
    # What is None there is filled up by generate() from these.
    found["GenerationConfig"] = generation.to_dict() | generation._get_default_generation_params()
    del found["GenerationConfig"]["transformers_version"]
    return json.loads(json.dumps(found))


def fields(kind):
    for field in dataclasses.fields(kind):
        if field.name not in NO_MATTER:
            made = field.default_factory
            yield field.name, field.default if made is dataclasses.MISSING else made()


def differences(before, now):
    """A sentence for every default that has moved, is new or is gone."""
    told = []
    for kind in sorted(before | now):
        old, new = before.get(kind, {}), now.get(kind, {})
        told += [f"{kind}.{name} is new: {new[name]!r}" for name in sorted(new.keys() - old.keys())]
        told += [f"{kind}.{name} is gone" for name in sorted(old.keys() - new.keys())]
        shared = sorted(old.keys() & new.keys())
        told += [f"{kind}.{n} was {old[n]!r}, is {new[n]!r}" for n in shared if old[n] != new[n]]
    return told


def installed():
    return {name: version(name) for name in READ}


def test_no_default_that_changes_the_loss_sampling_or_length_has_moved():
    told = differences(kept()["defaults"], defaults())
    assert not told, f"read at {kept()['read_at']}, installed {installed()}: {'; '.join(told)}"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"loss_type": "grpo"}, "GRPOConfig.loss_type was 'dapo', is 'grpo'"),
        ({"length_bonus": 0.1}, "GRPOConfig.length_bonus is new: 0.1"),
        ({"vllm_importance_sampling_mode": None}, "_mode was 'sequence_mask', is None"),
    ],
)
def test_a_moved_and_a_new_default_are_told(change, sentence):
    now = defaults()
    changed = now | {"GRPOConfig": now["GRPOConfig"] | change}
    (told,) = differences(now, changed)
    assert told.endswith(sentence)


def test_a_default_that_is_gone_is_told():
    now = defaults()
    less = {name: value for name, value in now["SFTConfig"].items() if name != "max_length"}
    assert differences(now, now | {"SFTConfig": less}) == ["SFTConfig.max_length is gone"]


def test_what_is_of_no_matter_is_no_list_of_names_that_are_gone():
    names = {field.name for kind in KINDS for field in dataclasses.fields(kind)}
    assert NO_MATTER - names <= {"activation_checkpointing", "activation_checkpointing_kwargs"}


def test_the_bounds_admit_what_is_pinned_and_no_release_after_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = {r.name: r.specifier for r in map(Requirement, groups(project, "train"))}
    pinned = {r.name: r.specifier for r in map(Requirement, pins())}
    for name in (*READ, "peft", "accelerate"):
        (pin,) = pinned[name]
        assert pin.version in bounds[name]
        major, minor, *_ = map(int, pin.version.split("."))
        assert f"{major}.{minor + 1}.0" not in bounds[name]
    assert "5.17.0" in bounds["transformers"] and "2.11.0" in bounds["torch"]


def groups(project, name):
    return project["optional-dependencies"][name]


def pins():
    lines = (ROOT / "requirements.in").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


if __name__ == "__main__":
    now = kept() | {"read_at": installed(), "defaults": defaults()}
    FILE.write_text(json.dumps(now, indent=1) + "\n")
