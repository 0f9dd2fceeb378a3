"""Whatever stands in a YAML, it is accepted or refused in one sentence."""

import sys

import pytest
import yaml
from embedded import ROOT, SUITES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handan.config import read_yaml
from handan.errors import UserError
from handan.evaluation.resource_estimate import plan_text
from handan.evaluation.suite import load_suite, suite_items
from handan.evaluation.zoo import load_zoo
from handan.experiments import plan
from handan.experiments.declare import load_experiment
from handan.generation.engines import load_engine
from handan.generation.openai_engine import check_server
from handan.training.data import load_prompts

CONFIGS = ROOT / "recipes" / "configs"
PROBE = load_suite(SUITES / "tiny_probe.yaml")
OTHER = (
    *(None, True, False, 0, 1, -1, 10**12, 2.5, -0.5, float("nan"), float("inf")),
    *("", "x", "auto", "../x", "/", "\0", "é", "[", "2", "true", "%s"),
    *([], [1], ["x"], [None], [[1]], [{}], {}, {"a": 1}, {1: 2}, {"ordering": 0.5}),
)
OF_THE_KIND = {
    int: (-1, 0, 1, 5),
    float: (-1.0, 0.0, 0.5, 1e-300, 1e300),
    str: ("", "x", "0", "\n", "eval"),
    list: ([], [0], [-1], [5, 5]),
    dict: ({}, {"x": 1.0}),
}


def read_suite(path):
    suite_items(load_suite(path))


def read_engine(path):
    engine = load_engine(path)
    if engine.engine == "openai":
        check_server(engine)


def read_zoo(path):
    zoo = load_zoo(path)
    plan_text(zoo, zoo.models, PROBE, "H100", None)


def read_experiment(path):
    experiment = load_experiment(path)
    plan.script(plan.plan(experiment, path.parent), [], experiment.budget_tolerance)


def read_traces(path):
    from handan.traces.trace_settings import from_command_line

    sys.argv = ["recipes/traces.py", "--config", str(path)]
    from_command_line()


def read_recipe(path):
    from commands import main_of
    from trl import GRPOConfig, ModelConfig

    from handan.config import parse

    sys.argv = ["recipes/grpo.py", "--config", str(path)]
    module = main_of("recipes/grpo.py").__globals__
    parse((module["GRPOArguments"], GRPOConfig, ModelConfig), module["REQUIRED"])


# What reads a YAML, one that is right, and how many changed ones are tried.
READERS = {
    "suite": (read_suite, SUITES / "tiny_probe.yaml", 40),
    "engine": (read_engine, ROOT / "eval" / "engines" / "openai.yaml", 60),
    "zoo": (read_zoo, ROOT / "eval" / "zoo" / "tiny.yaml", 20),
    "experiment": (read_experiment, ROOT / "recipes" / "experiments" / "tiny_pair.yaml", 20),
    "problems": (load_prompts, CONFIGS / "tiny" / "prompts.yaml", 40),
    "traces": (read_traces, CONFIGS / "tiny" / "traces.yaml", 15),
    "published": (read_traces, CONFIGS / "published" / "s1k.yaml", 15),
    "recipe": (read_recipe, CONFIGS / "tiny" / "grpo.yaml", 6),
}


def changed(draw, content):
    """A mapping with one key away, new, or of another value, at any depth."""
    content = dict(content)
    kind = draw(st.integers(0, 9))
    if kind == 0 or not content:
        return {
            **content,
            draw(st.sampled_from(["zz", 1, None, True])): draw(st.sampled_from(OTHER)),
        }
    key = draw(st.sampled_from(sorted(content, key=str)))
    value = content[key]
    if kind == 1:
        del content[key]
    elif kind < 5 and isinstance(value, dict) and value:
        content[key] = changed(draw, value)
    elif kind < 5 and isinstance(value, list) and value and isinstance(value[0], dict):
        content[key] = [changed(draw, value[0]), *value[1:]]
    else:
        near = OF_THE_KIND.get(type(value), OTHER)
        content[key] = draw(st.sampled_from(near) | st.sampled_from(OTHER))
    return content


@pytest.mark.parametrize("name", READERS)
def test_any_yaml_is_accepted_or_refused_in_one_sentence(tmp_path, monkeypatch, name):
    read, origin, examples = READERS[name]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["tests"])
    good = read_yaml(origin)
    if "num_problems" in good:
        good["num_problems"] = 20
    path = tmp_path / origin.name

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def one(data):
        content = good
        for _ in range(data.draw(st.integers(1, 2))):
            content = changed(data.draw, content)
        if content.get("num_problems") == 10**12:
            return  # it would be looked for a very long time
        path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        try:
            read(path)
        except UserError as error:
            assert str(error).strip()

    one()
