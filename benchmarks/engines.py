"""Compare engines on one suite: same ids, same counts, same verdicts, and at what speed.

    .venv-vllm/bin/python benchmarks/engines.py --output_dir runs/engines [--model DIR]

Needs `make setup-vllm`. Every engine answers the same items, greedily and once sampled, in a new
process: the embedded world's base model, or that of --model on short human problems. The reference
is transformers in the type of the weights.
"""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

import yaml
from tabulate import tabulate

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from embedded import SUITES, free_port, run_python, serving, small_suite  # noqa: E402
from families import wide_heads  # noqa: E402

from handan.files import read_json, read_jsonl  # noqa: E402

SHARE = 0.15  # of the memory; two processes of vLLM are never there at once
ENGINES = {
    "transformers": {"engine": "transformers"},
    "transformers, bfloat16": {"engine": "transformers", "dtype": "bfloat16"},
    "vLLM, float32": {"engine": "vllm", "dtype": "float32", "gpu_memory_utilization": SHARE},
    "vLLM, auto": {"engine": "vllm", "dtype": "auto", "gpu_memory_utilization": SHARE},
    "vllm serve, float32": {"engine": "openai", "extra_body": {"return_token_ids": True}},
}
COUNTS = ("prompt_tokens", "reasoning_tokens", "answer_tokens", "generated_tokens", "status")


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    folder = given.output_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if given.model:
        model = given.model.absolute()
        suite = yaml.safe_load((SUITES / "human.yaml").read_text())
        suite |= {"items_per_task": 2, "samples": 1, "max_new_tokens": 96}
        (folder / "suite.yaml").write_text(yaml.safe_dump(suite))
    else:
        model = folder / "model"
        if not model.exists():
            wide_heads(model)
        small_suite(folder, items_per_task=32, samples=1, greedy=True, batch_size=64)
    for name, settings in ENGINES.items():
        run(folder, name, model, settings)
    rows = [row(folder, name) for name in ENGINES]
    heads = ("engine", "version", "type", "greedy ids", "greedy counts", "greedy verdicts")
    print(tabulate(rows, (*heads, "sampled ids", "tokens/s"), tablefmt="pipe", floatfmt=".0f"))


def run(folder: Path, name: str, model: Path, settings: dict) -> None:
    """Let one engine answer what it has not answered yet."""
    server, port = nullcontext(), free_port()
    if settings["engine"] == "openai":
        settings = {**settings, "base_url": f"http://127.0.0.1:{port}/v1"}
        like = ["--dtype", "float32", "--generation-config", "vllm", "--seed", "0"]
        like += ["--gpu-memory-utilization", SHARE]
        server = serving(folder, port, "vllm", "serve", model, *like)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings))
    words = ["--model", model, "--suite", folder / "suite.yaml", "--num_threads", "2"]
    words += ["--engine", folder / f"{name}.yaml", "--output_dir", folder / name]
    with server:
        run_python("eval/run.py", *words)


def row(folder: Path, name: str) -> list:
    """One row of the table: an engine beside transformers."""
    there, here = ({key(r): r for r in rows(folder / n)} for n in ("transformers", name))
    greedy = [at for at in there if at[-1] == -1]

    def equal(names: tuple[str, ...], keys: list) -> str:
        same = sum(all(there[at][n] == here[at][n] for n in names) for at in keys)
        return f"{same} of {len(keys)}"

    evaluation = read_json(folder / name / "run.json")["evaluation"]
    engine, budget = evaluation["engine"], evaluation["budget"]
    version = engine.get(engine["engine"])
    speed = budget["generated_tokens"] / budget["device_seconds"]
    sampled = [at for at in there if at[-1] != -1]
    same = [equal(n, greedy) for n in (("completion_ids",), COUNTS, ("answer", "correct"))]
    ids = equal(("completion_ids",), sampled)
    return [name, version, engine.get("dtype"), *same, ids, speed]


def rows(run_dir: Path) -> list[dict]:
    return read_jsonl(run_dir / "generations.jsonl")


def key(row: dict) -> tuple:
    return row["task"], row["item"], row["sample"]


if __name__ == "__main__":
    main()
