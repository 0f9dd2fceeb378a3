"""Measuring a model along its training, without the training noticing.

At step 0, at the steps of a schedule and at the end, the trained model answers a suite or two.
Generation has a random state of its own, so the weights come out bitwise the same with and without.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

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
RESPONSES = tuple(f"{name}.jsonl" for name in PREFIXES)


@dataclass
class Along:
    """A suite that is measured along training.

    Attributes:
        name: ``probe`` or ``full``; its responses go to a file of this name.
        suite: what is asked.
        every, log_spaced: its schedule, as ``measured_steps`` has it.
        items: of the suite.
        steps: at which it is measured, known once the training begins.
        first: costs at step 0, by which inflation is measured; None if they are not known.
        seconds: that its last measurement took.
    """

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


class Probe(TrainerCallback):
    """Measures the suites in process.

    Responses go to ``probe.jsonl`` and ``full.jsonl``, figures to ``metrics.jsonl`` and the
    trackers. ``trainer`` must be set once the trainer exists.

    Args:
        suites: what is measured, and when.
        form: the model's reasoning format.
        run_dir: of the run.
        arm: name of the model.
        ledger: takes the time out of the training's.
        world: this process among the others; all of them generate.
        most_share: upper bound of the share of the time that measuring takes, None for no bound.
    """

    trainer: Any = None

    def __init__(
        self,
        suites: Sequence[Along],
        form: ReasoningFormat,
        run_dir: Path,
        arm: str,
        ledger: Ledger,
        world: Processes,
        most_share: float | None = None,
    ) -> None:
        self.suites, self.form, self.run_dir, self.arm = suites, form, run_dir, arm
        self.ledger, self.world, self.most_share = ledger, world, most_share

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for along in self.suites:
            along.steps = measured_steps(state.max_steps, along.every, along.log_spaced)
            along.first = self._recorded_first(along)
        # A resumed run has measured its checkpoint before it was saved.
        if state.global_step == 0:
            self.measure(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.measure(state.global_step)

    def measure(self, step: int) -> None:
        """Answer the suites whose turn it is with the current weights, and record the figures."""
        due = [along for along in self.suites if self._is_due(along, step)]
        if not due:
            return
        responses: dict[str, list[dict]] = {}
        metrics: dict[str, float] = {}
        for along in due:
            started = time.monotonic()
            responses[along.name] = self._responses(along, step)
            if self.world.rank == 0:
                metrics |= self._figures(along, step, responses[along.name])
            along.seconds = time.monotonic() - started
            self.ledger.pause(along.seconds)
        if self.world.rank > 0:
            return
        metrics |= budget_metrics(self.ledger.budget())
        for name, rows in responses.items():
            append_jsonl(self.run_dir / f"{name}.jsonl", rows)
        append_jsonl(self.run_dir / "metrics.jsonl", [{"step": step, **metrics}])
        for tracker in trackers.attached(self.trainer):
            tracker.record({"step": step, **metrics}, responses)
        self._tell(due, metrics, step)

    def _is_due(self, along: Along, step: int) -> bool:
        """Whether a suite is measured at a step; every process comes to the same answer."""
        if step not in along.steps:
            return False
        if self.most_share is None or step in (along.steps[0], along.steps[-1]):
            return True
        # Clocks differ, so the first process decides for all.
        share = self.world.gather([{"share": self.ledger.share_with(along.seconds)}])[0]["share"]
        if share > self.most_share and self.world.rank == 0:
            print(
                f"{self.arm}: step {step}, {along.name} skipped: with it measuring would take "
                f"{share:.0%} of the time so far, more than probe_time_share {self.most_share:g}",
                flush=True,
            )
        return share <= self.most_share

    def _responses(self, along: Along, step: int) -> list[dict]:
        """The answers to a suite; every process draws its share and gets all of them."""
        suite, plan = along.suite, suite_plan(along.suite, along.items)
        labels = {
            "model": self.arm,
            "step": step,
            "settings": content_hash([suite.fingerprint, self.form.fingerprint, step]),
            "reasoning_format": self.form.name,
            "seed": suite.seed,
        }
        with generating(self.trainer) as model:
            engine = TransformersEngine(model, self.trainer.processing_class, self.form)
            batches = plan.batches(engine)[self.world.rank :: self.world.size]
            mine = [row for rows in draw(engine, plan, batches, labels) for row in rows]
        return self.world.gather(mine)

    def _figures(self, along: Along, step: int, rows: Sequence[dict]) -> dict[str, float]:
        """Figures of a suite's responses, by their names in ``metrics.jsonl``."""
        costs = along.costs(rows)
        figures = suite_metrics(costs, along.first)
        if step == 0:
            along.first = costs
        return {PREFIXES[along.name] + key: value for key, value in figures.items()}

    def _recorded_first(self, along: Along) -> list[dict] | None:
        """Costs at step 0 of a run that goes on, once it is sure that it asks what it asked."""
        path = self.run_dir / f"{along.name}.jsonl"
        rows = read_jsonl(path) if path.exists() else []
        # Rows of older versions have no hash, and a training is too long to be begun anew for it.
        hashed = [row for row in rows if "prompt_hash" in row]
        plan = suite_plan(along.suite, along.items)
        requests = plan.requests(self.trainer.processing_class, self.form)
        check_prompts(path, hashed, plan, requests, self.form)
        first = [row for row in rows if row["step"] == 0]
        return along.costs(first) if first else None

    def _tell(self, due: Sequence[Along], metrics: dict[str, float], step: int) -> None:
        for along in due:
            prefix = PREFIXES[along.name]
            mean = metrics.get(f"{prefix}alignment/mean_r_loglog")
            print(
                f"{self.arm}: step {step}, {along.name} r(log tokens, log RT) "
                f"{'undefined' if mean is None else f'{mean:.3f}'}, "
                f"accuracy {metrics[f'{prefix}status/accuracy']:.2f}, "
                f"measuring took {metrics['budget/probe_share']:.0%} of the time so far",
                flush=True,
            )
