"""Whatever a user gets wrong: one sentence on stderr, exit code 2, and no file is lost.

Each case makes its bad input in an empty folder and returns the words of a command. Costs and logs
of other tools have tables of their own: test_bad_input.py and test_readers_errors.py.
"""

import json
import shutil

import pytest
import transformers  # noqa: F401 (it keeps the stderr it finds, and that of one test is closed)
import yaml
from commands import content, run
from embedded import ROOT, SUITES, WEIGHTS
from recipe_runs import PROMPTS

TINY = ROOT / "recipes" / "configs" / "tiny"
BASE = WEIGHTS / "base"
REPORT = ("handan", "report", "{}/run", "--output", "{}/report.html")
TRACE = {
    "task": "ordering",
    "item": "ABC:01:AC",
    "wording": "compact",
    "question": "A",
    "answer": "A",
}


# What the commands are made of. Each writes into the folder of its case.


def settings(folder, origin, /, **changes):
    """A YAML of the project with keys changed; None as a value of ``drop`` takes keys out."""
    drop = changes.pop("drop", ())
    found = yaml.safe_load(origin.read_text()) | changes
    path = folder / origin.name
    path.write_text(yaml.safe_dump({k: v for k, v in found.items() if k not in drop}))
    return path


def recipe(name, *words, stem=None, **changes):
    """A recipe with its tiny YAML, keys of which are changed, and words on the command line."""

    def make(folder):
        places = {"output_dir": str(folder / "run")}
        if stem is None:
            (folder / "prompts.yaml").write_text(PROMPTS)
            places["prompts"] = str(folder / "prompts.yaml")
        own = {k: v(folder) if callable(v) else v for k, v in changes.items()}
        path = settings(folder, TINY / f"{stem or name}.yaml", **{**places, **own})
        return [f"recipes/{name}.py", "--config", path, *words]

    return make


def text(name, words, body):
    """A command whose file ``name`` holds ``body``; the word FILE stands for its path."""

    def make(folder):
        path = folder / name
        path.write_bytes(body if isinstance(body, bytes) else body.encode())
        return [path if word == "FILE" else word for word in words]

    return make


def suite(**changes):
    """An evaluation of the tiny model on its probe suite with keys changed."""

    def make(folder):
        path = settings(folder, SUITES / "tiny_probe.yaml", **changes)
        return evaluation(folder, suite=path)

    return make


def task(**entry):
    return suite(tasks=[{"task": "ordering", "wording": "compact", "norms": None, **entry}])


def evaluation(folder, *words, suite=SUITES / "tiny_probe.yaml", model=BASE):
    run = ["--suite", suite, "--output_dir", folder / "run", "--model", model]
    return ["eval/run.py", *run, *words]


def model(change):
    """An evaluation of a copy of the tiny model with ``change`` made to its folder."""

    def make(folder):
        shutil.copytree(BASE, folder / "model")
        change(folder / "model")
        return evaluation(folder, model=folder / "model")

    return make


def edit(name, **changes):
    """A change of one JSON file of a model."""

    def change(folder):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def engine(**changes):
    def make(folder):
        path = folder / "engine.yaml"
        path.write_text(yaml.safe_dump({"engine": "openai", "base_url": "http://x/v1"} | changes))
        return evaluation(folder, "--engine", path)

    return make


def prompts(body, name="prompts.yaml"):
    """A dry run of GRPO on a file of prompts."""
    return recipe("grpo", "--dry_run", prompts=lambda folder: write(folder / f"bad_{name}", body))


def write(path, body):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return str(path)


def problems(**changes):
    return prompts(yaml.safe_dump(yaml.safe_load(PROMPTS) | changes))


def traces(**changes):
    return recipe("traces", **changes)


def sft(row, **changes):
    """SFT on one trace."""
    return recipe(
        "sft_distill",
        traces=lambda folder: write(folder / "traces" / "traces.jsonl", row),
        **changes,
    )


def holding(*files):
    """An evaluation into a directory that holds these files: pairs of name and content."""

    def make(folder):
        for name, body in files:
            write(folder / "run" / name, body)
        return evaluation(folder)

    return make


def experiment(**changes):
    def make(folder):
        path = settings(folder, ROOT / "recipes" / "experiments" / "tiny_pair.yaml", **changes)
        return ["handan", "experiment", path, "--output_dir", folder / "out", "--dry_run"]

    return make


def zoo(*words, **changes):
    def make(folder):
        path = settings(folder, ROOT / "eval" / "zoo" / "tiny.yaml", **changes)
        suite = ["--suite", SUITES / "tiny_probe.yaml", "--output_dir", folder / "zoo"]
        return ["eval/run.py", "--zoo", path, *suite, *(words or ["--dry_run"])]

    return make


def command(*words):
    """A command whose words may name files in the folder of the case, as {}/name."""

    def make(folder):
        return [word.format(folder) if isinstance(word, str) else word for word in words]

    return make


def trained(**files):
    """``eval/sweep.py`` on a run directory of these files, JSON or text."""

    def make(folder):
        for name, body in files.items():
            name = name.replace("_", ".")
            write(folder / "run" / name, body if isinstance(body, str) else json.dumps(body))
        return ["eval/sweep.py", "--run", folder / "run", "--suite", SUITES / "tiny_probe.yaml"]

    return make


CONFIGS = {
    "a config without its path": (command("recipes/grpo.py", "--config"), "--config needs the"),
    "a config that is not there": (
        command("recipes/grpo.py", "--config", "{}/none.yaml"),
        "none.yaml: no such file",
    ),
    "a config that is a folder": (command("recipes/grpo.py", "--config", "{}"), "no such file"),
    "a config that is no YAML": (
        text("c.yaml", ["recipes/grpo.py", "--config", "FILE"], "arm: [\n"),
        "c.yaml: not valid YAML",
    ),
    "a config that is a list": (
        text("c.yaml", ["recipes/grpo.py", "--config", "FILE"], "- arm\n"),
        "expected 'key: value' lines",
    ),
    "a config in another encoding": (
        text("c.yaml", ["recipes/grpo.py", "--config", "FILE"], "arm: é\n".encode("latin-1")),
        "c.yaml: not valid YAML",
    ),
    "a config that makes an object": (
        text("c.yaml", ["recipes/grpo.py", "--config", "FILE"], "a: !!python/name:os.system\n"),
        "not valid YAML",
    ),
    "a number for a key": (
        text("c.yaml", ["recipes/grpo.py", "--config", "FILE"], "7: 1\n"),
        "c.yaml: unknown key '7'; remove it",
    ),
    "no decisive key": (recipe("grpo", drop=["loss_type"]), "set loss_type; what decides"),
    "a word for a rate": (recipe("grpo", learning_rate="fast"), "--learning_rate"),
    "a list for a rate": (recipe("grpo", learning_rate=[1]), "learning_rate"),
    "nothing for a seed": (recipe("grpo", seed=None), "seed"),
    "half a step": (recipe("grpo", max_steps=1.5), "max_steps"),
    "a number for an arm": (recipe("grpo", arm=5), "arm"),
    "a mapping for prompts": (recipe("grpo", prompts={"a": 1}), "prompts"),
    "an unknown loss": (recipe("grpo", loss_type="mean"), "loss_type is 'mean'; use grpo"),
    "completions that do not divide": (
        recipe("grpo", num_generations=7),
        "num_generations",
    ),
    "no completions at all": (recipe("grpo", num_generations=0), "is 0, such as num_generations"),
    "a misspelt word on the line": (
        recipe("grpo", "--max_step", "3"),
        "unknown key 'max_step'; did you mean 'max_steps'?",
    ),
    "a negative schedule": (recipe("grpo", probe_steps=-1), "probe_steps is -1; give a number"),
    "a schedule without its suite": (
        recipe("grpo", full_suite_steps=5),
        "full_suite_steps is set, but no suite is",
    ),
    "a share of two": (recipe("grpo", probe_time_share=2.0), "probe_time_share is 2"),
    "half an adapter": (recipe("grpo", use_peft=True, lora_r=4), "set 'lora_alpha' too"),
    "an idle adapter": (recipe("grpo", lora_r=4), "'lora_r' has no effect"),
    "quantised weights": (
        recipe("grpo", load_in_4bit=True),
        "load_in_4bit: not used here; train adapters",
    ),
    "an unknown tracker": (recipe("grpo", report_to="notebook"), "no tracker 'notebook'"),
    "an unknown format": (recipe("grpo", reasoning_format="loud"), "'loud' is not known"),
    "a checkpoint between shared completions": (
        recipe("grpo", num_iterations=2, save_steps=3),
        "save_steps is 3, but completions serve 2 steps",
    ),
    "tokens that weigh more on one process": (
        sft("{}\n", average_tokens_across_devices=False),
        "average_tokens_across_devices is false",
    ),
    "packing that cuts": (
        sft("{}\n", packing=True, packing_strategy="wrapped"),
        "packing_strategy 'wrapped' cuts traces; use bfd",
    ),
    "rows without padding that nobody checks": (
        sft("{}\n", padding_free=True),
        "padding_free puts the traces of a micro-batch into one row",
    ),
    "steps without an end": (recipe("grpo", max_steps=-1), "max_steps is -1; give at least 1"),
    "epochs beside steps": (recipe("grpo", num_train_epochs=2), "num_train_epochs: not used here"),
    "a batch that halves itself": (
        sft("{}\n", auto_find_batch_size=True),
        "auto_find_batch_size: leave it out",
    ),
    "an old name of a bound": (
        recipe("grpo", vllm_importance_sampling_cap=2.0),
        "vllm_importance_sampling_cap: not used here; set vllm_importance_sampling_clip_max",
    ),
    "an unknown loss of imitation": (sft("{}\n", loss_type="mean"), "loss_type is 'mean'; use nll"),
    "a loss by micro-batches": (recipe("grpo", loss_type="bnpo"), "loss_type bnpo divides by the"),
    "a penalty on repetition": (
        recipe("grpo", repetition_penalty=1.2),
        "repetition_penalty is 1.2, but completions are drawn as in an evaluation",
    ),
    "a rate that is no number": (
        recipe("grpo", learning_rate=float("nan")),
        "learning_rate: nan is no finite",
    ),
    "an unknown teacher": (
        recipe("on_policy_distill", teacher_model_name_or_path="./none"),
        "./none: no such model directory",
    ),
    "another vocabulary": (
        recipe("on_policy_distill", teacher_model_name_or_path=lambda f: other_words(f)),
        "teacher and student do not share a vocabulary",
    ),
}


def other_words(folder):
    """A teacher whose tokenizer calls two tokens otherwise."""
    shutil.copytree(BASE, folder / "teacher")
    path = folder / "teacher" / "tokenizer.json"
    path.write_text(path.read_text().replace('"carry"', '"carried"'))
    return str(folder / "teacher")


def trimmed(name, share):
    """A change that cuts a file of a model short."""

    def change(folder):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: int(len(whole) * share)])

    return change


def replaced(name, body):
    return lambda folder: write(folder / name, body)


def gone(name):
    return lambda folder: (folder / name).unlink()


def silent(folder):
    """Nothing ends a sequence any more."""
    edit("tokenizer_config.json", eos_token=None)(folder)
    edit("generation_config.json", eos_token_id=None)(folder)
    edit("config.json", eos_token_id=None)(folder)


MODELS = {
    "a folder without weights": (model(gone("model.safetensors")), "no *.safetensors file"),
    "half the weights": (model(trimmed("model.safetensors", 0.5)), "cannot be loaded as a model"),
    "empty weights": (model(trimmed("model.safetensors", 0)), "cannot be loaded as a model"),
    "weights that are none": (
        model(replaced("model.safetensors", "<html>404</html>")),
        "cannot be loaded as a model",
    ),
    "no config": (model(gone("config.json")), "cannot be loaded as a model"),
    "half a config": (model(trimmed("config.json", 0.5)), "cannot be loaded as a model"),
    "a config of an unknown kind": (
        model(edit("config.json", model_type="hal9000")),
        "cannot be loaded as a model",
    ),
    "a config of other sizes": (
        model(edit("config.json", hidden_size=64)),
        "cannot be loaded as a model",
    ),
    "no tokenizer": (model(gone("tokenizer.json")), "cannot be loaded as a tokenizer"),
    "half a tokenizer": (
        model(trimmed("tokenizer.json", 0.5)),
        "cannot be loaded as a tokenizer",
    ),
    "a template that is no template": (
        model(replaced("chat_template.jinja", "{% for %}")),
        "its chat template does not",
    ),
    "no end of sequence": (model(silent), "names a token that ends a sequence"),
    "more words than the model has": (
        model(edit("config.json", vocab_size=40)),
        "cannot be loaded as a model",
    ),
    "half a generation config": (
        model(trimmed("generation_config.json", 0.5)),
        "generation_config.json: not valid JSON",
    ),
    "an adapter without a base": (
        model(replaced("adapter_config.json", "{}")),
        "adapter_config.json: no 'base_model_name_or_path'",
    ),
    "an adapter without its weights": (
        model(replaced("adapter_config.json", '{"base_model_name_or_path": "./none"}')),
        "adapter_model.safetensors: no such file",
    ),
}

DATA = {
    "no prompts": (recipe("grpo", "--dry_run", prompts="none.jsonl"), "none.jsonl: cannot be read"),
    "a folder for prompts": (recipe("grpo", "--dry_run", prompts="eval"), "eval"),
    "an empty file of prompts": (prompts("", "p.jsonl"), "bad_p.jsonl"),
    "a broken line of prompts": (
        prompts(json.dumps(TRACE) + "\n{\n", "p.jsonl"),
        "bad_p.jsonl, line 2: not valid JSON",
    ),
    "prompts in another encoding": (
        prompts(json.dumps(TRACE).encode() + b"\n\xff\n", "p.jsonl"),
        "bad_p.jsonl",
    ),
    "a prompt that is a list": (prompts("[1]\n", "p.jsonl"), "line 1: expected a JSON object"),
    "a prompt without a question": (
        prompts('{"task": "ordering", "item": "x", "wording": "compact"}\n', "p.jsonl"),
        "bad_p.jsonl, line 1: no 'question' and no 'answer', but task, item, wording",
    ),
    "a prompt of an unknown task": (
        prompts(json.dumps(TRACE | {"task": "chess"}) + "\n", "p.jsonl"),
        "bad_p.jsonl, line 1: no compact wording of task 'chess'",
    ),
    "a prompt in an unknown wording": (
        prompts(json.dumps(TRACE | {"wording": "rhyme"}) + "\n", "p.jsonl"),
        "bad_p.jsonl, line 1: wording 'rhyme'",
    ),
    "no families": (problems(families={}), "bad_prompts.yaml: families"),
    "an unknown family": (problems(families={"chess": 1.0}), "unknown family 'chess'"),
    "shares of nothing": (problems(families={"ordering": 0.0}), "bad_prompts.yaml: families"),
    "a negative share": (problems(families={"ordering": -1.0}), "bad_prompts.yaml: families"),
    "no widths": (problems(widths=[]), "widths"),
    "a width of nothing": (problems(widths=[-1]), "widths"),
    "no problems": (problems(num_problems=0), "bad_prompts.yaml: num_problems"),
    "more problems than there are": (
        problems(families={"binary_addition": 1.0}, widths=[1], num_problems=50),
        "different problems were found; lower num_problems",
    ),
    "no traces": (
        recipe("sft_distill", traces="none.jsonl", traces_config=None),
        "none.jsonl: no such file",
    ),
    "a config that makes other traces": (
        recipe("sft_distill", traces="other.jsonl"),
        "but 'traces' is other.jsonl; let both agree",
    ),
    "a trace that is half a line": (sft('{"task": "or\n'), "traces.jsonl, line 1: not valid JSON"),
    "a trace without its columns": (sft("{}\n"), "traces.jsonl, line 1: no task, item"),
    "an unknown source of traces": (traces(source="dream"), "source 'dream' is not known"),
    "traces of no samples": (traces(samples=0), "samples"),
    "traces below zero degrees": (traces(temperature=-1.0), "temperature"),
    "traces of no nucleus": (traces(top_p=0.0), "top_p"),
    "traces without room": (traces(max_new_tokens=0), "max_new_tokens"),
    "traces in no batches": (traces(batch_size=0), "batch_size"),
    "traces kept by luck": (traces(keep="lucky"), "keep is 'lucky'; use correct or all"),
    "a policy without its run": (
        recipe("traces", stem="traces_concise", run="none"),
        "none/run.json: no such file",
    ),
    "an unknown policy": (
        recipe("traces", stem="traces_concise", policy="longest"),
        "policy 'longest' is not known",
    ),
    "a published file that is not there": (
        recipe("traces", stem="../published/s1k", dataset="none.parquet"),
        "none.parquet: no such file",
    ),
    "a similarity of two": (
        recipe("traces", stem="../published/s1k", prompt_similarity=2.0),
        "prompt_similarity is 2.0; give a number above 0 and at most 1",
    ),
    "a span told twice": (
        recipe("traces", stem="../published/s1k", reasoning="a", close="</think>"),
        "give either 'reasoning', the column, or 'open' and 'close'",
    ),
}

SUITE = {
    "no suite": (
        lambda folder: evaluation(folder, suite=folder / "none.yaml"),
        "none.yaml: no such file",
    ),
    "a suite without samples": (suite(samples=0), "samples, max_new_tokens and batch_size must be"),
    "a temperature of nothing": (suite(temperature=float("nan")), "temperature"),
    "a nucleus of two": (suite(top_p=2.0), "top_p"),
    "no nucleus": (suite(top_p=0.0), "top_p"),
    "words for a version": (suite(version="two"), "version: expected a whole number, found 'two'"),
    "an unknown task": (task(task="chess", wording="natural"), "unknown task 'chess'"),
    "an unknown compact task": (task(task="chess"), "no compact wording of task 'chess'"),
    "an unknown trace format": (task(format="scrawl"), "format 'scrawl'"),
    "a trace format for words": (
        task(task="syllogisms", wording="natural", norms="brand_ragni_2023", format="constant"),
        "format 'constant'",
    ),
    "neither people nor analytic cost": (
        task(task="syllogisms", wording="natural"),
        "syllogisms: set 'norms'",
    ),
    "people who did not solve it": (task(norms="iccm2019"), "no human norms for task 'ordering'"),
    "a task of prompts only": (task(task="math", wording="natural"), "has no items that people"),
    "a wording the model cannot read": (
        suite(tasks=[{"task": "syllogisms", "wording": "natural", "norms": "brand_ragni_2023"}]),
        "the tokenizer does not know a word",
    ),
}

ROWS = [{"settings": "s", "task": "ordering", "item": str(n), "sample": 0} for n in range(3)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)

RUNS = {
    "another suite's responses": (
        holding(("generations.jsonl", LINES)),
        "generations.jsonl: holds responses of another model, or drawn with other settings",
    ),
    "a broken line in the middle": (
        holding(("generations.jsonl", LINES.replace('"item": "1"', '"item": "1'))),
        "generations.jsonl, line 2: not valid JSON",
    ),
    "a response twice": (
        holding(("generations.jsonl", LINES + LINES.splitlines()[0] + "\n")),
        "generations.jsonl, line 4: same settings, task, item, sample as line 1",
    ),
    "a response without its item": (
        holding(("generations.jsonl", LINES.replace('"item": "1", ', ""))),
        "generations.jsonl, line 2: no 'item'; move the file away",
    ),
    "responses in another encoding": (
        holding(("generations.jsonl", LINES.encode() + b"\xff\n")),
        "generations.jsonl",
    ),
    "half a run.json": (holding(("run.json", '{"arm": ')), "run.json: not valid JSON"),
    "a run.json that is a list": (holding(("run.json", "[1]")), "run.json: expected"),
    "a stage that is a word": (
        holding(("run.json", '{"evaluation": "done"}'), ("config.yaml", "training: {}\n")),
        "run.json",
    ),
    "half a config.yaml": (
        holding(("config.yaml", "evaluation: {")),
        "config.yaml: not valid YAML",
    ),
    "a config.yaml whose stage is a word": (
        holding(("config.yaml", "evaluation: done\n")),
        "config.yaml: 'evaluation' holds no settings",
    ),
    "an earlier version of the suite": (
        holding(("config.yaml", "evaluation: {model: handan}\n")),
        "config.yaml: evaluation was begun with model = 'handan'",
    ),
    "a file for a directory": (
        lambda folder: (write(folder / "run", "x"), evaluation(folder))[1],
        "run",
    ),
    "a sweep of nothing": (command("eval/sweep.py", "--run", "{}/none", "--suite", "x"), "no such"),
    "a sweep of an evaluation": (
        trained(run_json={"arm": "a", "evaluation": {}}, config_yaml="evaluation: {}\n"),
        "holds no training; give the output_dir of a recipe",
    ),
    "a sweep of an unfinished training": (
        trained(
            run_json={"arm": "a", "training": {}},
            config_yaml="training: {num_threads: 1, model_name_or_path: x}\n",
        ),
        "holds no whole checkpoint-N; set save_steps in its YAML",
    ),
    "a sweep of a damaged run.json": (
        trained(run_json="[]", config_yaml="training: {}\n"),
        "run.json",
    ),
    "a sweep of settings that are a word": (
        trained(run_json={"arm": "a", "training": {}}, config_yaml="training: done\n"),
        "config.yaml",
    ),
    "a report of a damaged run.json": (
        lambda folder: (write(folder / "run" / "run.json", "[]"), command(*REPORT)(folder))[1],
        "run.json: expected a JSON object",
    ),
    "a report of nothing": (command(*REPORT), "no such run directory"),
    "a report without a page": (command("handan", "report", "{}"), "nothing is asked for"),
    "a comparison with nothing": (
        command("handan", "compare", "{}/none"),
        "none: named twice, or not a directory",
    ),
    "a card of nothing": (
        command("handan", "publish", "{}"),
        "no run.json; give the run directory",
    ),
}


EXPERIMENTS = {
    "no experiment": (
        command("handan", "experiment", "{}/none.yaml"),
        "none.yaml: no such file",
    ),
    "an experiment that is a list": (
        text("e.yaml", ["handan", "experiment", "FILE"], "- a\n"),
        "e.yaml: expected 'key: value' lines",
    ),
    "no models": (experiment(drop=["models"]), "key 'models' is missing"),
    "models that are a list": (experiment(models=["base"]), "models: expected 'key: value'"),
    "a model that is a number": (experiment(models={"base": 3}), "models.base: expected"),
    "a number for a name": (experiment(models={3: "x"}), "models: expected text, found 3; write"),
    "arms without a recipe": (experiment(arms={"a": {}}), "arms.a: key 'recipe' is missing"),
    "an unknown start": (
        experiment(arms={"a": {"recipe": "grpo", "start": "nobody"}}),
        "start 'nobody' is no model and no arm",
    ),
    "a teacher who is nobody": (
        experiment(traces={"traces": {"teacher": "nobody"}}),
        "traces.traces: teacher 'nobody' is no model and no arm",
    ),
    "no seeds": (experiment(seeds=[]), "seeds one or more"),
    "a seed twice": (experiment(seeds=[1, 1]), "seeds"),
    "a folder for a suite": (experiment(suite="eval/suites"), "eval/suites: no such file"),
    "a negative tolerance": (experiment(budget_tolerance=-1.0), "budget_tolerance 0 or more"),
    "an arm in a circle": (
        experiment(arms={"a": {"recipe": "grpo", "start": "a"}}),
        "in a circle: a -> a",
    ),
    "stages of a dry run": (
        lambda folder: [*experiment()(folder), "--only", "train-sft"],
        "--only chooses what is run, and --dry_run and --list run nothing",
    ),
    "an unknown stage": (
        lambda folder: [*experiment()(folder)[:-1], "--only", "train-nobody"],
        "no stage 'train-nobody'; there are:",
    ),
    "a stage before its time": (
        lambda folder: [*experiment()(folder)[:-1], "--only", "train-sft"],
        "train-sft needs traces, which is not finished",
    ),
    "a seed that is no number": (
        lambda folder: [*experiment()(folder), "--seed", "one"],
        "invalid int value: 'one'",
    ),
}

ZOOS = {
    "no zoo": (
        command("eval/run.py", "--zoo", "{}/none.yaml", "--suite", "x", "--output_dir", "{}/z"),
        "none.yaml: no such file",
    ),
    "an empty zoo": (zoo(models=[]), "'models' must hold at least one model"),
    "an entry without a licence": (
        zoo(models=[{"name": "a", "model": "b"}]),
        "models[0]: keys 'role', 'reasoning_format', 'license'",
    ),
    "a zoo of words": (zoo(models=["base"]), "models[0]: expected 'key: value' lines"),
    "a model and a zoo": (zoo("--model", "x"), "give either --model or --zoo"),
    "neither model nor zoo": (
        command("eval/run.py", "--suite", "x", "--output_dir", "{}/o"),
        "give either --model or --zoo",
    ),
    "a part of no zoo": (
        lambda folder: evaluation(folder, "--only", "base"),
        "--only and --dry_run belong to a --zoo",
    ),
    "an arm for a zoo": (zoo("--arm", "x"), "--arm belongs to a --model"),
    "a format for a zoo": (
        zoo("--reasoning_format", "tiny"),
        "--reasoning_format belongs to a --model; a zoo's YAML says it",
    ),
    "a card without a plan": (zoo("--gpu", "A100"), "--gpu is of the plan that --dry_run prints"),
    "a card for a model": (
        lambda folder: evaluation(folder, "--gpu", "A100"),
        "--only and --dry_run belong to a --zoo, --gpu to its --dry_run",
    ),
    "a revision of a directory": (
        lambda folder: evaluation(folder, "--revision", "main"),
        "--revision is of a model on the hub, and",
    ),
    "an unknown card": (zoo("--dry_run", "--gpu", "H9000"), "--gpu H9000: no figures of it"),
    "an unknown model": (zoo("--only", "nobody"), "--only: no model 'nobody' in the zoo"),
    "a zoo's engine that is gone": (zoo(engine="none.yaml"), "none.yaml: no such file"),
    "decoding of no sense": (
        zoo(
            models=[
                {"name": "a", "model": str(BASE), "role": "initial", "reasoning_format": "tiny"}
                | {"license": "x", "revision": None}
                | {"recommended": {"temperature": -1.0, "top_p": 1.0}}
            ]
        ),
        "recommended",
    ),
    "a zoo's unknown format": (
        zoo(
            models=[
                {"name": "a", "model": str(BASE), "role": "initial", "reasoning_format": "loud"}
                | {"license": "x", "revision": None}
            ]
        ),
        "reasoning_format 'loud'",
    ),
}

ENGINES = {
    "no engine file": (
        lambda folder: evaluation(folder, "--engine", folder / "none.yaml"),
        "none.yaml: no such file",
    ),
    "an engine that is a list": (
        lambda folder: evaluation(folder, "--engine", write(folder / "e.yaml", "- vllm\n")),
        "e.yaml: expected 'key: value' lines",
    ),
    "an engine without a name": (engine(engine=None), "engine is None; use transformers"),
    "an address that is none": (engine(base_url="here"), "base_url"),
    "no address": (engine(base_url=""), "base_url"),
    "less than nothing at a time": (engine(concurrency=-1), "must be above 0"),
    "retries below nothing": (engine(max_retries=-1), "max_retries"),
    "time that never ends": (engine(timeout_s=float("inf")), "timeout_s"),
    "words for more fields": (engine(extra_body="top_k"), "extra_body: expected 'key: value'"),
    "a field that is decided elsewhere": (
        engine(extra_body={"max_tokens": 5}),
        "extra_body",
    ),
    "a server that penalises repetition": (
        engine(extra_body={"repetition_penalty": 1.2}),
        "extra_body of the engine sets 'repetition_penalty' to 1.2",
    ),
    "a server's tokenizer that is gone": (
        engine(tokenizer="./none"),
        "./none: cannot be loaded as a tokenizer",
    ),
}

PEOPLE = {
    "norms of nowhere": (
        command("handan", "norms", "list", "--norms", "{}/none"),
        "summary.csv: cannot be read (No such file or directory)",
    ),
    "trials without columns": (
        text(
            "t.csv",
            ["handan", "norms", "compute", "FILE", "--source", "s", "--output", "out"],
            "a,b\n1,2\n",
        ),
        "t.csv: no column",
    ),
    "a source that leads elsewhere": (
        text(
            "t.csv",
            ["handan", "norms", "compute", "FILE", "--source", "../s", "--output", "out"],
            "participant,task,item,rt_s,correct\np,t,i,1,1\n",
        ),
        "names a file, so it cannot have",
    ),
    "trials that nobody made": (
        text(
            "c.csv",
            ["handan", "align", "FILE", "--trials", "none.csv"],
            "task,item,reasoning_tokens\nt,i,3\n",
        ),
        "none.csv: cannot be read",
    ),
    "pairs without columns": (
        text("p.csv", ["handan", "align", str(ROOT / "none.csv"), "--pairs", "FILE"], "a\n1\n"),
        "none.csv: cannot be read",
    ),
}

CASES = {
    f"{group}: {name}": case
    for group, cases in {
        "config": CONFIGS,
        "model": MODELS,
        "data": DATA,
        "suite": SUITE,
        "run": RUNS,
        "experiment": EXPERIMENTS,
        "zoo": ZOOS,
        "engine": ENGINES,
        "people": PEOPLE,
    }.items()
    for name, case in cases.items()
}


@pytest.mark.parametrize(("make", "sentence"), CASES.values(), ids=CASES)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, make, sentence):
    words = make(tmp_path)
    before = content(tmp_path)
    ended = run(words, monkeypatch, capsys)
    # What transformers shows while it loads weights is no message.
    lines = [x for x in ended.err.splitlines() if x.strip() and "Loading weights" not in x]
    assert ended.code == 2
    assert len(lines) == 1 and lines[0].startswith("handan: error: ")
    assert sentence in lines[0]
    assert "finished" not in ended.out
    after = content(tmp_path)
    assert {path: after.get(path) for path in before} == before


def test_there_are_sixty_kinds():
    assert len(CASES) >= 60
