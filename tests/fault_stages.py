"""The stages that the fault tests kill, small enough that much of their time is not start-up."""

from pathlib import Path

import recipe_runs
import yaml
from embedded import SUITES, WEIGHTS, run_script, small_suite
from faults import Stage

EVALUATED = ("alignment.json", "costs.csv", "items.jsonl")
TRAINED = ("model.safetensors",)
LOGGED = ("metrics.jsonl", "probe.jsonl")
STEPS = {
    "--max_steps": 16,
    "--save_steps": 2,
    "--probe_steps": 8,
    # What is logged after a resume is a mean over the steps since.
    "--logging_steps": 1,
}
# Completions that serve four optimizer steps: two of them before they are used again.
REUSED = {"--steps_per_generation": 4, "--num_iterations": 2, "--save_steps": 4}
TWO_RANKS = ("-m", "accelerate.commands.launch", "--quiet", "--config_file")


def prepare(folder: Path) -> None:
    """Write what the stages read into an empty folder: prompts, traces, suites, trained runs."""
    folder.mkdir(parents=True)
    recipe_runs.prepare(folder)
    trained = {"--max_steps": 6, "--save_total_limit": 9, "--probe_steps": 0}
    run_script(*training("sft_distill", folder, str(folder / "sft"), trained))
    for name, model in (("base", WEIGHTS / "base"), ("sft", folder / "sft")):
        words = evaluation(folder / "suite.yaml", model, str(folder / name), name)
        run_script(*words)
    (folder / "long").mkdir()
    small_suite(folder / "long", items_per_task=16, batch_size=4)
    tasks = yaml.safe_load((SUITES / "tiny.yaml").read_text())["tasks"][:2]
    (folder / "short").mkdir()
    small_suite(folder / "short", tasks=tasks, greedy=False, samples=4)
    prompts = yaml.safe_load((folder / "prompts.yaml").read_text())
    (folder / "many.yaml").write_text(yaml.safe_dump(prompts | {"num_problems": 150}))


def training(recipe: str, folder: Path, out: str, more: dict) -> tuple[str, ...]:
    """The words of a recipe that saves often."""
    words = recipe_runs.arguments(recipe, folder, out)
    return (*map(str, words), *(str(w) for pair in (STEPS | more).items() for w in pair))


def evaluation(suite: Path, model: Path, out: str, arm: str) -> tuple[str, ...]:
    """The words of an evaluation."""
    flags = ("--model", model, "--suite", suite, "--output_dir", out, "--arm", arm)
    return ("eval/run.py", *map(str, flags), "--num_threads", "1")


def stages(folder: Path) -> dict[str, Stage]:
    """All stages, on what ``prepare`` has written into ``folder``."""
    traces = ("--config", "recipes/configs/tiny/traces.yaml", "--output_dir", "OUT")
    traces += ("--prompts", str(folder / "many.yaml"), "--batch_size", "8")
    sweep = ("--run", str(folder / "sft"), "--suite", str(folder / "short/suite.yaml"))
    small = {"--per_device_train_batch_size": 8}
    half = {"--per_device_train_batch_size": 4, "--train_sampling_strategy": "random"}
    launch = (*TWO_RANKS, "launch/accelerate/ddp-cpu.yaml", "--main_process_port", "PORT")
    rollouts = (*LOGGED, "rollouts.jsonl")
    all_stages = [
        Stage(
            "traces",
            ("recipes/traces.py", *traces),
            same=("traces.jsonl",),
            tables=("generations.jsonl",),
            record="traces",
        ),
        Stage(
            "sft",
            training("sft_distill", folder, "OUT", small),
            same=TRAINED,
            tables=LOGGED,
            record="training",
            saves=True,
        ),
        Stage(
            "grpo",
            training("grpo", folder, "OUT", {"--max_steps": 12}),
            same=TRAINED,
            tables=rollouts,
            record="training",
            saves=True,
        ),
        Stage(
            "grpo, completions reused",
            training("grpo", folder, "OUT", REUSED),
            same=TRAINED,
            tables=rollouts,
            record="training",
            saves=True,
        ),
        Stage(
            "evaluation",
            evaluation(folder / "long/suite.yaml", WEIGHTS / "base", "OUT", "base"),
            same=EVALUATED,
            tables=("generations.jsonl",),
            record="evaluation",
        ),
        Stage(
            "sweep",
            ("eval/sweep.py", *sweep, "--output_dir", "OUT"),
            same=("alignment.json", "costs.csv", "metrics.jsonl"),
            tables=("step-*/generations.jsonl",),
        ),
        Stage(
            "report",
            ("-m", "handan", "report", str(folder / "base"), str(folder / "sft"), *PAGE),
            same=("report.html", "alignment.json"),
            listens=False,
            inside=True,
        ),
        Stage(
            "sft, two ranks",
            (*launch, *training("sft_distill", folder, "OUT", half)),
            same=TRAINED,
            tables=LOGGED,
            record="training",
            saves=True,
            ranks=2,
        ),
    ]
    return {stage.name: stage for stage in all_stages}


PAGE = ("--output", "report.html")
