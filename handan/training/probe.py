"""Measuring alignment along training, without the training noticing.

At step 0, every N steps and at the end, the trained model answers a small suite. Generation has a
random state of its own, so the weights come out bitwise the same with and without the probe.
"""

import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from handan.alignment.data.cost_table import GREEDY_SUFFIX
from handan.alignment.measure import align
from handan.cost_rows import cost_rows
from handan.engines.transformers import TransformersEngine
from handan.evaluate import suite_plan
from handan.formats import ReasoningFormat
from handan.launch import Processes
from handan.records import append_jsonl, content_hash
from handan.responses import draw
from handan.size import size_of
from handan.suite import Suite, suite_items
from handan.training import trackers
from handan.training.generation import generating
from handan.training.ledger import Ledger

BOOTSTRAP = 1_000
# Share of responses that ended in each way, by its name.
RATES = {
    "cap_rate": "truncated",
    "no_reasoning_rate": "no_reasoning",
    "unparsed_rate": "unparsed",
}


class Probe(TrainerCallback):
    """Runs the probe suite in process and logs ``alignment/...``.

    The rows go to ``probe.jsonl`` and the figures to ``metrics.jsonl`` and Weights & Biases.
    ``trainer`` must be set once the trainer exists.
    """

    trainer: Any = None

    def __init__(
        self,
        suite: Suite,
        form: ReasoningFormat,
        every: int,
        run_dir: Path,
        arm: str,
        ledger: Ledger,
        world: Processes,
    ) -> None:
        self.suite, self.form, self.every, self.arm = suite, form, every, arm
        self.run_dir, self.ledger, self.world = run_dir, ledger, world
        self.items = suite_items(suite)
        self.last_step = -1

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # A resumed run has measured its checkpoint before it was saved.
        if self.every and state.global_step == 0:
            self.measure(0)
        self.last_step = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.every and state.global_step % self.every == 0:
            self.measure(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # A training that stops for a signal goes on later, and has no time to measure now.
        ended = state.global_step >= state.max_steps
        if self.every and ended and state.global_step != self.last_step:
            self.measure(state.global_step)

    def measure(self, step: int) -> None:
        """Answer the probe suite with the current weights and record the result."""
        started = time.monotonic()
        trainer = self.trainer
        tokenizer = trainer.processing_class
        plan = suite_plan(self.suite, self.items)
        labels = {
            "model": self.arm,
            "step": step,
            "settings": content_hash([self.suite.fingerprint, self.form.fingerprint, step]),
            "reasoning_format": self.form.name,
            "seed": self.suite.seed,
        }
        with generating(trainer) as model:
            engine = TransformersEngine(model, tokenizer, self.form)
            batches = plan.batches(engine)[self.world.rank :: self.world.size]
            mine = [row for rows in draw(engine, plan, batches, labels) for row in rows]
        rows = self.world.gather(mine)
        self.last_step = step
        self.ledger.pause(time.monotonic() - started)
        if self.world.rank > 0:
            return
        metrics = probe_metrics(rows, self.items, self.suite.cost_without_span)
        spent = self.ledger.budget(size_of(trainer.accelerator.unwrap_model(trainer.model)))
        metrics |= {f"budget/{key}": value for key, value in spent.items() if value is not None}
        append_jsonl(self.run_dir / "probe.jsonl", rows)
        append_jsonl(self.run_dir / "metrics.jsonl", [{"step": step, **metrics}])
        trackers.log(trainer, metrics, step, rows)
        mean = metrics.get("alignment/mean_r_loglog")
        shown = "undefined" if mean is None else f"{mean:.3f}"
        print(
            f"{self.arm}: step {step}, probe r(log tokens, log RT) {shown}, "
            f"accuracy {metrics['status/accuracy']:.2f}",
            flush=True,
        )


def probe_metrics(rows: list[dict], items: list[Any], cost_without_span: str) -> dict[str, float]:
    """Alignment, accuracy, length and status rates of one probe; what is undefined is left out."""
    costs = cost_rows(rows, items, cost_without_span)
    result = align(costs, bootstrap=BOOTSTRAP, seed=0)
    model = next(
        figures for name, figures in result["models"].items() if not name.endswith(GREEDY_SUFFIX)
    )
    sampled = [row for row in rows if row["sample"] >= 0]
    mean_low, mean_high = model["mean_r_loglog_ci"] or (None, None)
    out = {
        "alignment/mean_r_loglog": model["mean_r_loglog"],
        "alignment/mean_r_loglog_ci_low": mean_low,
        "alignment/mean_r_loglog_ci_high": mean_high,
        "cost/reasoning_tokens": sum(r["reasoning_tokens"] for r in sampled) / len(sampled),
        "status/accuracy": sum(row["correct"] for row in sampled) / len(sampled),
    }
    for name, status in RATES.items():
        out[f"status/{name}"] = sum(r["status"] == status for r in sampled) / len(sampled)
    for task, figures in model["tasks"].items():
        low, high = figures["r_loglog_ci"] or (None, None)
        out[f"alignment/{task}/r_loglog"] = figures["r_loglog"]
        out[f"alignment/{task}/r_loglog_ci_low"] = low
        out[f"alignment/{task}/r_loglog_ci_high"] = high
        out[f"cost/{task}/reasoning_tokens"] = figures["mean_tokens"]
        out[f"status/{task}/accuracy"] = figures["accuracy"]
    return {key: value for key, value in out.items() if value is not None}
