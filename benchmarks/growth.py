"""How time and memory grow with items, samples, models and steps: each at once, four and 16 times.

    python benchmarks/growth.py

Every size runs in a process of its own, which does the smallest size once to load what it needs,
makes its input, and says what the measured call took in CPU seconds and by how much resident memory
rose meanwhile; of three calls the fastest counts. An exponent is that of what was added:
log((x16 - x4) / (x4 - x1)) / log 4. So what is there once does not count; 1 is linear, 2 a square.
The bound leaves room for noise.
"""

import argparse
import contextlib
import gc
import io
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure import Result, in_turn, lines_of, table

FACTORS = (1, 4, 16)
MOST = 1.25
KEY = ("settings", "task", "item", "sample")

# A case makes its input and returns the call that is measured.
Call = Callable[[], Any]


def _align(folder: Path, models: int = 3, items: int = 100, samples: int = 3) -> Call:
    from startup import write_costs

    from handan.alignment.align import align
    from handan.alignment.costs import read_costs
    from handan.alignment.pairs import Comparisons

    path = folder / "costs.csv"
    write_costs(path, models, 1, items, samples)
    # Contrasts are pairs of models: all of them would be a square by themselves.
    names = [f"model-{number}" for number in range(models)]
    pairs = [(name, names[0]) for name in names[1:]]
    chosen = Comparisons(contrasts=pairs, inflation=pairs, effort=[], roles={})
    return lambda: align(read_costs(path).table, comparisons=chosen, bootstrap=2_000)


def align_items(folder: Path, factor: int) -> Call:
    return _align(folder, items=100 * factor)


def align_samples(folder: Path, factor: int) -> Call:
    return _align(folder, samples=3 * factor)


def align_models(folder: Path, factor: int) -> Call:
    return _align(folder, models=3 * factor)


def align_steps(folder: Path, factor: int) -> Call:
    from handan.alignment.align import align

    generator = np.random.default_rng(0)
    rows = [
        {
            "model": "arm",
            "step": step,
            "task": "add",
            "item": f"item-{item}",
            "sample": sample,
            "reasoning_tokens": int(generator.integers(10, 200)),
            "human_rt_s": 1 + item / 50,
            "correct": True,
            "status": "complete",
        }
        for step in range(5 * factor)
        for item in range(50)
        for sample in range(2)
    ]
    return lambda: align(rows, bootstrap=2_000)


def responses(count: int) -> Iterator[dict]:
    """Rows as an evaluation leaves them."""
    for number in range(count):
        yield {
            "model": "arm",
            "settings": "0123456789abcdef",
            "reasoning_format": "tiny",
            "seed": 0,
            "task": "add",
            "item": f"item-{number // 8}",
            "sample": number % 8,
            "temperature": 1.0,
            "prompt_tokens": 20,
            "reasoning_tokens": 30,
            "answer_tokens": 5,
            "generated_tokens": 36,
            "status": "complete",
            "correct": True,
            "answer": "1010",
            "text": "carry the one " * 10,
            "device_seconds": 0.004,
            "completion_ids": list(range(36)),
        }


def recover(folder: Path, factor: int) -> Call:
    from handan.files import append_jsonl, recover_jsonl

    path = folder / "generations.jsonl"
    append_jsonl(path, responses(4_000 * factor))
    return lambda: recover_jsonl(path, KEY)


def collect(folder: Path, factor: int) -> Call:
    """An evaluation that is complete: everything but generating."""
    from handan.evaluation.evaluate import suite_plan
    from handan.evaluation.responses import collect as complete
    from handan.evaluation.suite import load_suite, suite_items
    from handan.files import append_jsonl
    from handan.generation.engines import load_engine, open_engine
    from handan.launch import SINGLE

    engine = open_engine(load_engine(None), "handan/tiny/weights/base")
    suite = load_suite(Path("eval/suites/tiny_probe.yaml"))
    plan = suite_plan(suite, suite_items(suite))
    plan.questions[:] = plan.questions[:32] * 32 * factor
    path, row = folder / "generations.jsonl", next(responses(1))
    rows = [
        {
            **row,
            "task": plan.questions[request.item].item.task,
            "item": plan.questions[request.item].item.key,
            "sample": request.sample,
            "prompt_hash": plan.prompt_hash(request, engine.form),
        }
        for request in plan.requests(engine.tokenizer, engine.form)
        if request.item < 32
    ]
    append_jsonl(path, rows)
    labels = {"model": "arm", "settings": row["settings"]}
    return lambda: complete(engine, plan, path, labels, SINGLE)


def resume(folder: Path, factor: int) -> Call:
    """What a resumed training reads and cuts: metrics, rollouts and probes of all steps so far."""
    from handan.files import append_jsonl
    from handan.training.resume import forget_after

    steps = 10 * factor
    row = next(responses(1))
    append_jsonl(folder / "metrics.jsonl", ({"step": s, "loss": 0.1} for s in range(steps)))
    for name, each in (("rollouts.jsonl", 256), ("probe.jsonl", 51)):
        rows = ({**row, "step": step, "item": n} for step in range(steps) for n in range(each))
        append_jsonl(folder / name, rows)
    return lambda: forget_after(folder, steps - 2)


def report(folder: Path, factor: int) -> Call:
    """The page of two arms by their number of responses."""
    from handan.files import append_jsonl
    from handan.report import page

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from report_runs import cost_rows, trained, write_run

    runs = []
    for arm in ("base", "grpo"):
        rows = cost_rows(arm, 0.5, num_items=40, num_samples=factor, greedy=False)
        text = "<think>" + "carry the one " * 30 + "</think> 1010"
        generations = [
            {key: row[key] for key in ("task", "item", "sample", "reasoning_tokens", "status")}
            | {"correct": row["correct"], "text": text}
            for row in rows
        ]
        training, start = (trained("grpo"), "base weights") if arm == "grpo" else (None, None)
        run = write_run(folder / arm, rows, training=training, start=start, generations=generations)
        if training:
            append_jsonl(run / "metrics.jsonl", [{"step": step} for step in range(3)])
        runs.append(run)
    return lambda: page.write(runs, folder / "report.html")


CASES: dict[str, Callable[[Path, int], Call]] = {
    "align, items: 100 of 3 models": align_items,
    "align, samples: 3 of 100 items": align_samples,
    "align, models: 3 with one reference": align_models,
    "align, steps: 5 of 50 items": align_steps,
    "reading responses again: 4,000": recover,
    "evaluation without generating: 2,048 responses": collect,
    "resuming: files of 10 steps": resume,
    "report, samples: 1 of 80 items, 2 arms": report,
}


def _memory(key: str) -> float:
    """MB of this process, of Linux's ``VmRSS`` (now) or ``VmHWM`` (at most)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def measured(name: str, factor: int) -> dict[str, float]:
    """CPU seconds of a call, and MB by which memory rose meanwhile."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as folder:
        CASES[name](Path(first), 1)()
        call = CASES[name](Path(folder), factor)
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        before = _memory("VmRSS")
        spent = in_turn({name: call}, 3)[name]
        return {"seconds": min(spent), "mb": _memory("VmHWM") - before}


def exponent(values: list[float], least: float) -> float:
    """Exponent of what was added; NaN where that is less than ``least`` and so but noise."""
    small, large = values[1] - values[0], values[2] - values[1]
    if large < least:
        return float("nan")
    return math.log(large / max(small, least / 4)) / math.log(4)


def main() -> None:
    """Measure every case in three sizes, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=2, metavar=("CASE", "FACTOR"), help=argparse.SUPPRESS)
    parser.add_argument("--only", help="cases whose name begins so")
    arguments = parser.parse_args()
    if arguments.one:
        with contextlib.redirect_stdout(io.StringIO()):
            found = measured(arguments.one[0], int(arguments.one[1]))
        print(json.dumps(found))
        return
    rows, worst = [], {"seconds": 0.0, "mb": 0.0}
    for name in CASES:
        if arguments.only and not name.startswith(arguments.only):
            continue
        script = [sys.executable, __file__, "--one", name]
        found = [json.loads(lines_of([*script, str(factor)])[-1]) for factor in FACTORS]
        cells = [name]
        for key, digits, least in (("seconds", 2, 0.05), ("mb", 0, 8.0)):
            values = [of[key] for of in found]
            slope = exponent(values, least)
            worst[key] = max(worst[key], 0.0 if np.isnan(slope) else slope)
            cells += [
                " / ".join(f"{value:.{digits}f}" for value in values),
                "-" if np.isnan(slope) else f"{slope:.2f}",
            ]
        rows.append(cells)
    table(("what, and how many at x1", "CPU s at x1, x4, x16", "exponent", "MB", "exponent"), rows)
    for key, what in (("seconds", "time"), ("mb", "memory")):
        measured_ = f"largest exponent {worst[key]:.2f}"
        Result(
            f"growth of {what}", "x1, x4, x16", "linear or better", measured_, worst[key] <= MOST
        ).tell()


if __name__ == "__main__":
    main()
