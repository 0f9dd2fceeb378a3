"""Measure a model along its training, whose weights are bitwise the same without: generation has a
random state of its own."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from handan.budgets import time_share
from handan.evaluation.evaluate import budget_metrics, sampled_costs, suite_metrics, suite_plan
from handan.evaluation.responses import check_prompts, draw
from handan.evaluation.suite import Suite, SuiteItem, suite_items
from handan.files import append_jsonl, content_hash, read_jsonl
from handan.generation.formats import ReasoningFormat
from handan.generation.transformers_engine import TransformersEngine
from handan.launch import Processes
from handan.training import trackers
from handan.training.ledger import Ledger
from handan.training.rl import generating
from handan.training.settings import measured_steps

# The small suite and the large one, and what the names of their metrics begin with.
PREFIXES = {"probe": "", "full": "full/"}
MUCH = 0.2  # a share of the time that is told beforehand
RESPONSES = tuple(f"{name}.jsonl" for name in PREFIXES)


@dataclass
class ProbedSuite:
    """A suite measured along training; ``first`` are costs at step 0, for inflation, if known."""

    name: str
    suite: Suite
    every: int
    log_spaced: int = 0
    items: list[SuiteItem] = field(init=False)
    steps: list[int] = field(default_factory=list)
    first: list[dict] | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.items = suite_items(self.suite)

    def costs(self, rows: Sequence[dict]) -> list[dict]:
        """Rows of ``costs.csv`` of the responses of one step."""
        return sampled_costs(rows, self.items, self.suite.cost_without_span)


@dataclass(eq=False)
class Probe(TrainerCallback):
    """Measures suites in at most ``max_share`` of the time; ``trainer`` must be set."""

    suites: Sequence[ProbedSuite]
    form: ReasoningFormat
    run_dir: Path
    arm: str
    ledger: Ledger
    world: Processes
    max_share: float | None = None
    trainer: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for probed in self.suites:
            probed.steps = measured_steps(state.max_steps, probed.every, probed.log_spaced)
            probed.first = self._recorded_first(probed)
        # A resumed run has measured its checkpoint before it was saved.
        if state.global_step == 0:
            self.measure(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 1 and self.world.rank == 0:
            self._foresee(state.max_steps)
        self.measure(state.global_step)

    def _foresee(self, max_steps: int) -> None:
        """Say after the first step if measuring will take much of the time."""
        self.ledger.tick()
        measuring = sum(probed.seconds * len(probed.steps) for probed in self.suites)
        share = time_share(measuring, self.ledger.counts["train_seconds"] * max_steps)
        if share > MUCH:
            print(
                f"{self.arm}: measuring will take about {share:.0%} of the time; raise probe_steps "
                "or choose a smaller suite, for all arms alike"
            )

    def measure(self, step: int) -> None:
        """Answer the suites whose turn it is with the current weights, and record the metrics."""
        if not (due := [probed for probed in self.suites if self._is_due(probed, step)]):
            return
        responses: dict[str, list[dict]] = {}
        metrics: dict[str, float] = {}
        for probed in due:
            started = time.monotonic()
            rows = responses[probed.name] = self._responses(probed, step)
            if self.world.rank == 0:
                costs = probed.costs(rows)
                for key, value in suite_metrics(costs, probed.first).items():
                    metrics[PREFIXES[probed.name] + key] = value
                probed.first = costs if step == 0 else probed.first
            probed.seconds = time.monotonic() - started
            self.ledger.pause(probed.seconds)
        if self.world.rank > 0:
            return
        metrics |= budget_metrics(self.ledger.budget())
        for name, rows in responses.items():
            append_jsonl(self.run_dir / f"{name}.jsonl", rows)
        append_jsonl(self.run_dir / "metrics.jsonl", [{"step": step, **metrics}])
        for tracker in trackers.attached(self.trainer):
            tracker.record({"step": step, **metrics}, responses)
        for probed in due:
            prefix = PREFIXES[probed.name]
            mean = metrics.get(f"{prefix}alignment/mean_r_loglog")
            shown = "undefined" if mean is None else f"{mean:.3f}"
            print(
                f"{self.arm}: step {step}, {probed.name} r(log tokens, log RT) {shown}, "
                f"accuracy {metrics[f'{prefix}status/accuracy']:.2f}, "
                f"measuring took {metrics['budget/probe_share']:.0%} of the time so far"
            )

    def _is_due(self, probed: ProbedSuite, step: int) -> bool:
        if step not in probed.steps:
            return False
        if self.max_share is None or step in (probed.steps[0], probed.steps[-1]):
            return True
        # Clocks differ, so the first process decides for all.
        share = self.world.gather([{"share": self.ledger.share_with(probed.seconds)}])[0]["share"]
        if share > self.max_share and self.world.rank == 0:
            print(
                f"{self.arm}: step {step}, {probed.name} skipped: with it measuring would take "
                f"{share:.0%} of the time so far, more than probe_time_share {self.max_share:g}"
            )
        return share <= self.max_share

    def _responses(self, probed: ProbedSuite, step: int) -> list[dict]:
        """Answer a suite; every process draws its share and gets all of them."""
        suite, plan = probed.suite, suite_plan(probed.suite, probed.items)
        fingerprint = content_hash([suite.fingerprint, self.form.fingerprint, step])
        labels = {"model": self.arm, "step": step, "settings": fingerprint}
        labels |= {"reasoning_format": self.form.name, "seed": suite.seed}
        with generating(self.trainer) as model:
            engine = TransformersEngine(model, self.trainer.processing_class, self.form)
            batches = plan.batches(engine)[self.world.rank :: self.world.size]
            mine = [row for rows in draw(engine, plan, batches, labels) for row in rows]
        return self.world.gather(mine)

    def _recorded_first(self, probed: ProbedSuite) -> list[dict] | None:
        """Read costs at step 0 of a run that goes on, if it asks what it asked."""
        path = self.run_dir / f"{probed.name}.jsonl"
        rows = read_jsonl(path) if path.exists() else []
        # Rows of older versions have no hash, and a training is too long to be begun anew for it.
        hashed = [row for row in rows if "prompt_hash" in row]
        plan = suite_plan(probed.suite, probed.items)
        requests = plan.requests(self.trainer.processing_class, self.form)
        check_prompts(path, hashed, plan, requests, self.form)
        first = [row for row in rows if row["step"] == 0]
        return probed.costs(first) if first else None
