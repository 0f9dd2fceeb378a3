"""What measuring along training costs: the demo's trainings, shortened, with probes and without.

    python benchmarks/along_training.py

Imitation and GRPO by the recipes' own scripts and configs, with fewer steps and prompts, in turn:
with four probes, as the demo's imitation has, and without any. A step and a probe take what
run.json says of them, the first one with all it loads; from these follows the share of a whole
training of the demo, which has more steps between its probes.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import yaml
from measure import Process, Result, process, table

CONFIGS = Path("recipes/configs/tiny")
# Recipe, and steps of the shortened run.
ARMS = {"imitation": ("sft_distill", 45), "GRPO": ("grpo", 6)}
PROBES = 4
PROMPTS = 400
MOST = 0.10


def train(recipe: str, steps: int, probes: bool, traces: Path, folder: Path) -> dict:
    """One run of a recipe; what its process took, and seconds of its steps and probes."""
    run_dir = folder / f"{recipe}-{probes}-{len(list(folder.iterdir()))}"
    words = ["--config", str(CONFIGS / f"{recipe}.yaml"), "--output_dir", str(run_dir)]
    words += ["--max_steps", str(steps), "--save_strategy", "no"]
    words += ["--probe_steps", str(steps // (PROBES - 1) if probes else 0)]
    if recipe == "sft_distill":
        words += [
            "--traces",
            str(traces / "traces.jsonl"),
            "--prompts",
            str(folder / "prompts.yaml"),
        ]
    took = run("recipes/" + recipe + ".py", words)
    budget = json.loads((run_dir / "run.json").read_text())["training"]["budget"]
    return {
        "process": took,
        "step": budget["train_seconds"] / steps,
        "probe": budget["probe_seconds"] / PROBES,
    }


def run(script: str, words: list[str]) -> Process:
    """A script of the recipes; only its errors are shown if it fails."""
    with tempfile.TemporaryFile("w+") as log:
        try:
            return process([sys.executable, script, *words], stdout=log, stderr=log)
        except SystemExit:
            log.seek(0)
            print(log.read()[-3000:], file=sys.stderr)
            raise


def main() -> None:
    """Train both arms with and without probes, in turn."""
    from handan.training.settings import measured_steps

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1)
    runs = parser.parse_args().runs
    rows, shares = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prompts = yaml.safe_load((CONFIGS / "prompts.yaml").read_text()) | {"num_problems": PROMPTS}
        (folder / "prompts.yaml").write_text(yaml.safe_dump(prompts))
        words = ["--config", str(CONFIGS / "traces.yaml"), "--output_dir", str(folder / "traces")]
        words += ["--samples", "1", "--prompts", str(folder / "prompts.yaml")]
        run("recipes/traces.py", words)
        for arm, (recipe, steps) in ARMS.items():
            found: dict[bool, list[dict]] = {True: [], False: []}
            for _ in range(runs):
                for probes, of_kind in found.items():
                    of_kind.append(train(recipe, steps, probes, folder / "traces", folder))
            settings = yaml.safe_load((CONFIGS / f"{recipe}.yaml").read_text())
            step = statistics.median(of["step"] for of_kind in found.values() for of in of_kind)
            probe = statistics.median(of["probe"] for of in found[True])
            steps_there = settings["max_steps"]
            times = len(measured_steps(steps_there, settings["probe_steps"]))
            shares[arm] = times * probe / (times * probe + steps_there * step)
            cpu = [statistics.median(of["process"].cpu_s for of in found[p]) for p in (True, False)]
            rows.append(
                (
                    arm,
                    f"{step:.3f}",
                    f"{probe:.2f}",
                    f"{cpu[0]:.1f} / {cpu[1]:.1f}",
                    f"{times} in {steps_there}",
                    f"{shares[arm]:.0%}",
                )
            )
    header = ("training", "s a step", "s a probe", "CPU s of short runs with / without")
    table((*header, "probes of the demo in steps", "share of its time"), rows)
    worst = max(shares, key=lambda arm: shares[arm])
    Result(
        "measuring along training, demo's interval",
        f"the same runs without ({worst} is worst)",
        "< 10 %",
        f"{shares[worst]:.0%}",
        shares[worst] < MOST,
    ).tell()


if __name__ == "__main__":
    main()
