"""Every YAML of the repository is read by what reads it for a user; recipes are dry-run too."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from embedded import ROOT

from handan import hardware
from handan.config import load_yaml, read_yaml
from handan.evaluation import resource_estimate
from handan.evaluation.resource_estimate import plan_text
from handan.evaluation.suite import load_suite, suite_items
from handan.evaluation.zoo import load_zoo
from handan.generation.engines import load_engine
from handan.generation.formats import FORMATS

LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.yaml", "*.yml"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.split()
RECIPES = ("sft_distill", "grpo", "sft_then_grpo", "on_policy_distill")
# Keys in which the arms of a family must agree, or they are no pair.
PAIRED = (
    *("model_name_or_path", "model_revision", "reasoning_format", "prompts", "suite"),
    *("probe_steps", "probe_log_spaced", "seed"),
)


@pytest.fixture(autouse=True)
def _in_the_clone(monkeypatch):
    monkeypatch.chdir(ROOT)


def dry_run(path, monkeypatch, capsys):
    """The recipe's own main, up to its plan: real parsing, real files, no model."""
    config = read_yaml(path)
    recipe = {"sft_then_grpo": "grpo"}.get(path.stem, path.stem)
    recipe = "sft_distill" if path.stem in ("sft_over", "sft_base", "lora") else recipe
    place = ROOT / "recipes" / f"{recipe}.py"
    spec = importlib.util.spec_from_file_location(recipe, place)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, recipe, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", [str(place), "--config", str(path), "--dry_run"])
    module.main()
    shown = capsys.readouterr().out
    assert f"{config['arm']}: dry run" in shown
    assert config["model_name_or_path"] in shown and f"{config['max_steps']:,} steps" in shown
    assert not any(Path(config["output_dir"]).glob("checkpoint-*"))
    return shown


def read_traces(path, *_):
    from handan.traces.trace_settings import load

    settings = load(path)
    if settings.source in ("generate", "worked"):
        load_prompts(Path(settings.prompts))
    if settings.source == "generate":
        load_engine(Path(settings.engine) if settings.engine else None)
        assert settings.reasoning_format in ("auto", *FORMATS)
    if settings.source == "run":
        made_by = path.with_name(f"{Path(settings.run).name}.yaml")
        assert load(made_by).output_dir == settings.run


def load_prompts(path, *_):
    from handan.training.data import load_prompts

    assert load_prompts(path)


def read_suite(path, *_):
    assert suite_items(load_suite(path))


def read_engine(path, *_):
    load_engine(path)


def plan_zoo(path, *_):
    zoo = load_zoo(path)
    suite = load_suite(ROOT / "eval" / "suites" / "human.yaml")
    text = plan_text(zoo, zoo.models, suite)
    assert all(entry.name in text for entry in zoo.models)


def read_accelerate(path, *_):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert config.num_processes >= 1 and config.num_machines >= 1


def read_pretraining(path, *_):
    from pretrain import Pretraining

    load_yaml(path, Pretraining)


def read_architectures(path, *_):
    assert len(resource_estimate.published()) > len(read_yaml(path))


def read_own(path, *_):
    assert f'"{path.name}"' in "".join(p.read_text() for p in path.parent.glob("*.py")) or (
        path.with_suffix(".py").is_file()  # which reads it when it is imported
    )
    assert read_yaml(path)


def plan_study(path, *_):
    from handan.experiments.declare import load_experiment
    from handan.experiments.plan import plan

    study = load_experiment(path)
    assert (ROOT / study.page).is_file()
    assert len(plan(study, Path("out")).stages) > 40


def plan_experiment(path, *_):
    from handan.experiments.declare import load_experiment
    from handan.experiments.plan import plan

    made = plan(load_experiment(path), Path("out"))
    assert made.stages and made.pages
    assert all((ROOT / stage.script).is_file() for stage in made.stages)


def read_skypilot(path, *_):
    assert (ROOT / read_yaml(path)["envs"]["EXPERIMENT"]).is_file()


KINDS = {
    r"recipes/experiments/[\w.-]+\.yaml": plan_experiment,
    r"recipes/studies/[\w.-]+\.yaml": plan_study,
    r"launch/skypilot\.yaml": read_skypilot,
    rf"recipes/configs/[^/]+/({'|'.join(RECIPES)}|sft_base|lora)\.yaml": dry_run,
    rf"recipes/studies/\w+/({'|'.join(RECIPES)}|sft_over)\.yaml": dry_run,
    r"recipes/configs/([^/]+/traces(_\w+)?|published/\w+)\.yaml": read_traces,
    r"recipes/studies/\w+/(traces(_\w+)?|worked_\w+)\.yaml": read_traces,
    r"recipes/configs/([^/]+/)?prompts(_\w+)?\.yaml": load_prompts,
    r"recipes/studies/\w+/prompts(_\w+)?\.yaml": load_prompts,
    r"recipes/studies/\w+/base_\w+\.yaml": read_pretraining,
    r"eval/suites/\w+\.yaml": read_suite,
    r"eval/engines/\w+\.yaml": read_engine,
    r"eval/zoo/\w+\.yaml": plan_zoo,
    r"launch/accelerate/[\w-]+\.yaml": read_accelerate,
    r"recipes/configs/pretraining/\w+\.yaml": read_pretraining,
    r"handan/evaluation/architectures\.yaml": read_architectures,
    r"handan/(?!evaluation/architectures)[\w/]+\.yaml": read_own,
    r"mkdocs\.yml": lambda *_: None,  # by `make docs`, which is strict
    r"tests/logs/.*": lambda *_: None,  # tasks of another tool, read by it when logs are made
}


@pytest.mark.parametrize("name", LISTED)
def test_every_yaml_is_read_by_what_reads_it(name, monkeypatch, capsys):
    readers = [reader for pattern, reader in KINDS.items() if re.fullmatch(pattern, name)]
    assert len(readers) == 1, f"{name}: of no known kind; add its reader here"
    monkeypatch.setattr(hardware, "gpus", lambda: [])
    readers[0](ROOT / name, monkeypatch, capsys)


def families():
    folders = sorted(path.parent for path in (ROOT / "recipes" / "configs").glob("*/grpo.yaml"))
    return {
        folder.name: {f.stem: read_yaml(f) for f in folder.glob("*.yaml")} for folder in folders
    }


REAL = sorted(name for name, stems in families().items() if "model_revision" in stems["grpo"])


@pytest.mark.parametrize("family", families())
def test_paired_arms_agree_in_everything_but_how_they_learn(family):
    stems = families()[family]
    arms = {
        stem: stems[stem] for stem in ("sft_distill", "grpo", "on_policy_distill") if stem in stems
    }
    assert {"sft_distill", "grpo", "traces"} <= set(stems)
    keys = PAIRED if family != "tiny" else set(PAIRED) - {"probe_steps"}
    for key in keys:
        assert len({str(arm.get(key)) for arm in arms.values()}) == 1, key
    assert stems["traces"]["prompts"] == arms["grpo"]["prompts"]
    assert arms["sft_distill"]["traces"] == f"{stems['traces']['output_dir']}/traces.jsonl"
    assert arms["sft_distill"]["traces_config"].endswith(f"{family}/traces.yaml")


@pytest.mark.parametrize("family", REAL)
def test_on_policy_distillation_has_the_traces_teacher_and_its_vocabulary(family):
    stems = families()[family]
    if "on_policy_distill" not in stems:
        student = resource_estimate.find(stems["grpo"]["model_name_or_path"]).config
        teacher = resource_estimate.find(stems["traces"]["model_name_or_path"]).config
        # Qwen3 is the one published family here whose tokenizers are one and the same.
        assert {student["model_type"], teacher["model_type"]} != {"qwen3"}
        return
    arm, traces = stems["on_policy_distill"], stems["traces"]
    assert arm["teacher_model_name_or_path"] == traces["model_name_or_path"]
    assert arm.get("teacher_model_revision") == traces.get("revision")
    student, teacher = (
        resource_estimate.find(model).config
        for model in (arm["model_name_or_path"], arm["teacher_model_name_or_path"])
    )
    for key in ("vocab_size", "model_type"):
        assert student[key] == teacher[key]


@pytest.mark.parametrize("family", REAL)
def test_real_models_are_pinned_and_their_lengths_fit(family):
    stems = families()[family]
    revisions = [stems["traces"]["revision"], stems["grpo"]["model_revision"]]
    assert all(re.fullmatch("[0-9a-f]{40}", revision) for revision in revisions)
    grpo = stems["grpo"]
    assert grpo["max_completion_length"] < grpo["vllm_max_model_length"]
    completions = grpo["per_device_train_batch_size"] * 8 * grpo["gradient_accumulation_steps"]
    assert completions == 512 and completions % grpo["num_generations"] == 0


def test_revisions_are_the_same_wherever_a_model_is_named():
    found = {}
    for name in sorted({*LISTED} - {"mkdocs.yml"}):
        content = yaml.safe_load((ROOT / name).read_text())
        rows = content.get("models", [content]) if isinstance(content, dict) else []
        for row in (row for row in rows if isinstance(row, dict)):
            for model, revision in (
                (row.get("model"), row.get("revision")),
                (row.get("model_name_or_path"), row.get("model_revision", row.get("revision"))),
                (row.get("teacher_model_name_or_path"), row.get("teacher_model_revision")),
            ):
                if model and not (ROOT / model).exists() and "/" in model and revision:
                    found.setdefault(model, set()).add(revision)
    assert len(found) > 20
    assert all(len(revisions) == 1 for revisions in found.values()), found


def test_a_dry_run_counts_work_and_names_what_is_missing(monkeypatch, capsys, tmp_path):
    for name in ("HF_HUB_CACHE", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(hardware, "gpus", lambda: [])
    path = ROOT / "recipes" / "configs" / "qwen3-8b-base" / "on_policy_distill.yaml"
    shown = dry_run(path, monkeypatch, capsys)
    # 200 steps of 64 completions of at most 4,096 tokens.
    assert "200 steps of 64 rows on 1 process(es), at most 52.4 M generated tokens" in shown
    # 16 bytes a parameter of the student and 2 of the teacher, and activations on top.
    memory = float(re.search(r"about (\d+) GB on each GPU", shown)[1])
    assert 16 * 8.19 + 2 * 32.76 < memory < 250
    assert "missing: Qwen/Qwen3-32B is not in the hub cache" in shown
    assert "missing: this machine has no GPU" in shown


def test_an_unknown_key_of_a_recipe_is_refused(tmp_path, monkeypatch, capsys):
    from handan.errors import UserError

    config = read_yaml(ROOT / "recipes" / "configs" / "llama-3.1-8b" / "grpo.yaml")
    path = tmp_path / "grpo.yaml"
    path.write_text(yaml.safe_dump(config | {"leraning_rate": 1.0}))
    with pytest.raises(UserError, match="leraning_rate"):
        dry_run(path, monkeypatch, capsys)
