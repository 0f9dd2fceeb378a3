"""Every arm under every engine, on the CPU: does it run, save, reload, and train the same weights?

    python benchmarks/arm_matrix.py --output_dir runs/arm_matrix

Prints a Markdown table. A cell has, against the run of a single process, the largest difference of
a weight and the largest relative one of a gradient norm (Adam hides a wrong scale of the gradient,
its norm does not), and the seconds of a few steps, launch included. Every run is evaluated by
eval/run.py. Finished cells are not run again. Ends with 1 if one failed or differs by over 1e-5.
"""

import argparse
import dataclasses
import socket
import subprocess
import sys
import time
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file

from handan.errors import run_main
from handan.files import read_json, read_jsonl, write_json

ROOT = Path(__file__).parents[1]
TOLERANCE = 1e-5
STEPS = 4
PROMPTS = {
    "families": {"binary_addition": 0.5, "binary_subtraction": 0.3, "ordering": 0.2},
    "widths": [1, 2, 3, 5],
    "num_problems": 120,
    "seed": 3,
}
ENGINES = {
    "single": "cpu",
    "DDP": "ddp-cpu",
    "ZeRO-2": "zero2-cpu",
    "ZeRO-3": "zero3-cpu",
    "FSDP2": "fsdp2",
    "two nodes": "multi-node",
}
LORA = (
    "--use_peft true --lora_r 8 --lora_alpha 16 --lora_dropout 0 --lora_target_modules all-linear"
)
LONG_BATCH, GROUPS = 8, "--num_generations 4"


@dataclasses.dataclass(frozen=True)
class Arm:
    """A recipe, its YAML, more of its settings, and the arm whose model it starts from."""

    recipe: str
    config: str
    more: str = ""
    after: str | None = None


ARMS = {
    "SFT": Arm("sft_distill", "sft_distill"),
    "SFT, LoRA": Arm("sft_distill", "sft_distill", LORA),
    "GRPO": Arm("grpo", "grpo", GROUPS),
    "on-policy distillation": Arm("on_policy_distill", "on_policy_distill"),
    "SFT, then GRPO": Arm("grpo", "sft_then_grpo", GROUPS, after="SFT"),
}


def prepare(out: Path, llama_steps: int) -> dict[str, Path]:
    """Prompts, traces, suite, and a base model of each architecture."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "prompts.yaml").write_text(yaml.safe_dump(PROMPTS))
    suite = yaml.safe_load((ROOT / "eval/suites/tiny_probe.yaml").read_text())
    suite |= {"name": "matrix", "items_per_task": 6, "samples": 2, "batch_size": 8}
    (out / "suite.yaml").write_text(yaml.safe_dump(suite))
    base = ROOT / "handan/tiny/weights/base"
    llama = out / "llama"
    if not (llama / "tokenizer.json").exists():
        settings = yaml.safe_load((ROOT / "recipes/configs/pretraining/base.yaml").read_text())
        settings |= {"architecture": "llama", "num_steps": llama_steps}
        (out / "llama.yaml").write_text(yaml.safe_dump(settings))
        where = ["--config", str(out / "llama.yaml"), "--output_dir", str(llama)]
        run([sys.executable, "recipes/pretrain.py", *where], out / "llama.log")
    if not (out / "traces" / "traces.jsonl").exists():
        words = ["recipes/traces.py", "--config", "recipes/configs/tiny/traces.yaml"]
        words += ["--output_dir", str(out / "traces"), "--prompts", str(out / "prompts.yaml")]
        run([sys.executable, *words], out / "traces.log")
    return {"Qwen3": base, "Llama": llama}


def run(words: list[str], log: Path) -> float:
    """Seconds of one command; its output goes to ``log``.

    Raises:
        RuntimeError: it failed.
    """
    started = time.monotonic()
    with open(log, "w", encoding="utf-8") as file:
        done = subprocess.run(words, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError(f"{log}: exit code {done.returncode}")
    return time.monotonic() - started


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launches(engine: str) -> list[list[str]]:
    """Words before the recipe: one launcher, or two that act as two machines."""
    file = f"launch/accelerate/{ENGINES[engine]}.yaml"
    words = [sys.executable, "-m", "accelerate.commands.launch", "--quiet", "--config_file", file]
    if engine == "single":
        return [words]
    port = ["--main_process_port", str(free_port())]
    if engine == "FSDP2":
        two = ["--num_processes", "2", "--mixed_precision", "no"]
        return [[*words, *two, *port, "benchmarks/fsdp2_on_cpu.py"]]
    if engine != "two nodes":
        return [[*words, *port]]
    two = ["--num_machines", "2", "--num_processes", "2", "--mixed_precision", "no"]
    two += ["--main_process_ip", "127.0.0.1", *port]
    return [[*words, *two, "--machine_rank", rank] for rank in ("0", "1")]


def place(out: Path, architecture: str, name: str, engine: str) -> Path:
    """The run directory of a cell."""
    return out.joinpath(
        *(w.replace(",", "").replace(" ", "_") for w in (architecture, name, engine))
    )


def recipe(out: Path, folder: Path, start: Path, arm: Arm, engine: str) -> list[str]:
    """The recipe of a cell and its settings."""
    settings = {
        "config": f"recipes/configs/tiny/{arm.config}.yaml",
        "model_name_or_path": start,
        "output_dir": folder,
        "prompts": out / "prompts.yaml",
        "suite": out / "suite.yaml",
        "max_steps": STEPS,
        "save_steps": STEPS,
        "probe_steps": STEPS,
        "warmup_steps": 0,
        "logging_steps": 1,
        # Where a gradient is as small as its rounding error, Adam makes a whole step of either.
        "adam_epsilon": 1e-6,
        # The same 16 rows a step: two micro-batches of one process, or one on each of two.
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 2 if engine == "single" else 1,
    }
    if arm.recipe == "sft_distill":
        # Groups of similar lengths are cut by the number of processes; random order is not.
        settings |= {"traces": out / "traces/traces.jsonl", "train_sampling_strategy": "random"}
    words = [str(word) for key, value in settings.items() for word in (f"--{key}", value)]
    return [f"recipes/{arm.recipe}.py", *words, *arm.more.split()]


def cell(out: Path, architecture: str, base: Path, name: str, engine: str) -> dict:
    """Train, evaluate and compare one cell, unless that is done already."""
    folder, arm = place(out, architecture, name, engine), ARMS[name]
    if (folder / "cell.json").exists():
        return read_json(folder / "cell.json")
    start = place(out, architecture, arm.after, engine) if arm.after else base
    folder.mkdir(parents=True, exist_ok=True)
    commands = [[*words, *recipe(out, folder, start, arm, engine)] for words in launches(engine)]
    started = time.monotonic()
    others = [
        subprocess.Popen(c, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for c in commands[1:]
    ]
    try:
        run(commands[0], folder / "train.log")
        codes = [process.wait(timeout=120) for process in others]
    finally:
        for process in others:
            process.kill()
    seconds = time.monotonic() - started
    words = ["eval/run.py", "--suite", out / "suite.yaml"]
    words += ["--model", folder, "--output_dir", folder, "--num_threads", "1"]
    run([sys.executable, *map(str, words)], folder / "evaluate.log")
    single = place(out, architecture, name, "single") / "model.safetensors"
    result = {
        "seconds": round(seconds, 1),
        "difference": difference(folder / "model.safetensors", single),
        "gradient_norm": norm_difference(folder, single.parent),
        "change": difference(folder / "model.safetensors", start / "model.safetensors"),
        "launch": read_json(folder / "run.json")["training"]["launch"],
        "other_nodes_exit_codes": codes,
        "evaluated": len(read_jsonl(folder / "generations.jsonl")),
    }
    write_json(folder / "cell.json", result)
    return result


def difference(one: Path, other: Path) -> float:
    """Largest absolute difference between the weights of two models."""
    a, b = load_file(one), load_file(other)
    assert a.keys() == b.keys()
    return max((a[key].double() - b[key].double()).abs().max().item() for key in a)


def norm_difference(folder: Path, single: Path) -> float:
    """Largest relative difference between the gradient norms of two runs, over all steps."""
    ours, theirs = (
        [row["grad_norm"] for row in read_jsonl(run / "metrics.jsonl") if "grad_norm" in row]
        for run in (folder, single)
    )
    assert len(ours) == len(theirs) == STEPS
    # A step of GRPO whose rewards are all equal has no gradient at all.
    return max(abs(a - b) / max(b, 1e-3) for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output_dir", type=Path, default=Path("runs/arm_matrix"))
    parser.add_argument("--architectures", nargs="+", default=["Qwen3", "Llama"])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--llama_steps", type=int, default=250, help="of its pretraining")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out = arguments.output_dir.absolute()
    bases = prepare(out, arguments.llama_steps)
    print(f"| arm | model | {' | '.join(arguments.engines)} | largest change |")
    print("|---" * (len(arguments.engines) + 3) + "|")
    failed = 0
    for architecture in arguments.architectures:
        for name in arguments.arms:
            shown, change = [], ""
            for engine in arguments.engines:
                try:
                    got = cell(out, architecture, bases[architecture], name, engine)
                except RuntimeError as error:
                    shown.append(f"failed: {error}")
                    failed += 1
                    continue
                if engine == "single":
                    change = f"{got['change']:.1e}"
                    shown.append(f"{got['seconds']:.0f} s")
                else:
                    differences = got["difference"], got["gradient_norm"]
                    failed += max(differences) > TOLERANCE
                    shown.append("{:.1e}, {:.1e}, {:.0f} s".format(*differences, got["seconds"]))
            print(f"| {name} | {architecture} | {' | '.join(shown)} | {change} |", flush=True)
    if failed:
        sys.exit(f"{failed} cells failed or differ by more than {TOLERANCE:g}")


if __name__ == "__main__":
    run_main(main)
