"""Train an arm: what the recipes share, from parsed arguments to the end of a run."""

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trl import ModelConfig, get_peft_config

from handan import checkpoints, hardware, rundir
from handan.config import given_keys, parse
from handan.errors import UserError
from handan.evaluation.evaluate import SCHEDULE
from handan.evaluation.resource_estimate import size_of
from handan.evaluation.suite import Suite, coverage_notes, load_suite
from handan.files import file_hash, shipped
from handan.generation import loading
from handan.generation.formats import ReasoningFormat, choose
from handan.launch import Processes, check_engine, processes, without_compiling
from handan.rundir import read_run
from handan.training import rl, saving, trackers
from handan.training import settings as settings_of
from handan.training.arms import RECIPES
from handan.training.data import prompts_hash, published_prompts
from handan.training.ledger import Ledger, MetricsFile
from handan.training.probe import Probe, ProbedSuite
from handan.training.resume import check_sources, checkpoint_to_resume, forget_after, lineage
from handan.training.rl import Rollouts


@dataclass
class Run:
    """One training run, from its parsed arguments to its ledger."""

    name: str  # of RECIPES
    recipe: Any
    config: Any
    model_config: Any
    given: set[str]
    world: Processes
    model: Any
    tokenizer: Any
    form: ReasoningFormat
    ledger: Ledger
    probe: Probe
    settings: dict
    suites: list[Suite]  # that are evaluated along training, or after it

    def __post_init__(self) -> None:
        self.run_dir = self.ledger.run_dir
        self.peft_config: Any = get_peft_config(self.model_config)
        self.callbacks = [self.ledger, MetricsFile(self.run_dir, self.world), self.probe]

    @property
    def source(self) -> dict[str, Any]:
        """Arguments of ``from_pretrained`` for the very weights that the run begins with."""
        trusted, _ = loading.trusted_by_recipe(self.config, self.model_config)
        revision = {"revision": self.model_config.model_revision}
        return {"use_safetensors": True, **revision, **loading.trust_options(trusted)}

    def train(self, trainer: Any, details: dict, rollouts: Rollouts | None = None) -> None:
        """Train from the newest whole checkpoint on, save; ``details`` are for ``run.json``."""
        launched = {"processes": self.world.size, "nodes": self.world.nodes}
        launched |= check_engine(trainer.accelerator, self.config)
        started_from = lineage(Path(self.model_config.model_name_or_path))
        details = {"launch": launched, "started_from": started_from, **details}
        details["recipe"] = self.name
        self.probe.trainer = trainer
        self.ledger.size = size_of(trainer.accelerator.unwrap_model(trainer.model))
        with rundir.lock(self.run_dir, self.world.rank):
            self.world.gather([])  # the other processes wait for the lock too
            if self.world.rank == 0:
                shown = ", ".join(f"{key} {value}" for key, value in launched.items())
                print(f"{self.recipe.arm}: {shown}")
            self._begin_or_resume(trainer, details, rollouts)
            with saving.tell_of_writing(self.run_dir):
                if self.peft_config:
                    name = self.model_config.model_name_or_path
                    saving.save_merged(trainer, name, self.source, self.run_dir, self.world.rank)
                else:
                    trainer.save_model(str(self.run_dir))
                if self.world.rank == 0:
                    self.tokenizer.save_pretrained(self.run_dir)
                    checkpoints.files_to_disk(self.run_dir)
            learned = rl.learning_counts(rollouts) if rollouts else {}
            if self.world.rank == 0:
                facts = {"finished": True, "steps": trainer.state.global_step}
                facts |= {"parameters": self.ledger.size._asdict(), "budget": self.ledger.budget()}
                facts |= {"learning": learned} if rollouts else {}
                rundir.add(self.run_dir, "training", **facts)
            self.world.gather([])  # launchers end the other processes as soon as one has left
            rl.check_learned(self.recipe.arm, self.run_dir, learned)
            if self.world.rank == 0:
                in_part = rl.in_part(learned)
                print(f"{self.recipe.arm}: trained, model in {self.run_dir}{in_part}")

    def _begin_or_resume(self, trainer: Any, details: dict, rollouts: Rollouts | None) -> None:
        rundir.check_config(self.run_dir, "training", self.settings, SCHEDULE)
        launched = details["launch"]
        checkpoint = checkpoint_to_resume(self.run_dir, self.recipe.resume, launched, self.world)
        if checkpoint:
            check_sources(self.run_dir, details)
        if self.world.rank == 0:
            details |= {"arm": self.recipe.arm, "reasoning_format": self.form.name}
            details["budget_at_start"] = self.ledger.budget()
            rundir.record(self.run_dir, "training", self.settings, SCHEDULE, **details)
            forget_after(self.run_dir, int(checkpoint.split("-")[-1]) if checkpoint else -1)
            facts = {key: details[key] for key in ("arm", "recipe")}
            facts["model_fingerprint"] = self.settings["model_fingerprint"]
            items = [entry for probed in self.probe.suites for entry in probed.items]
            trackers.attach(trainer, self.run_dir, facts, self.settings, items)
        self.ledger.restore(checkpoint)
        # TRL's own count of SFT, which it logs as num_tokens, begins anew in every process.
        trainer._total_train_tokens = self.ledger.counts["processed_tokens"]
        saving.attach(trainer, self.run_dir, self.world, launched)
        if rollouts:
            trainer.add_callback(rl.EarlyWarning(self.recipe.arm, rollouts))
        stop = saving.StopRequest(self.recipe.arm, self.world)
        trainer.add_callback(stop)
        try:
            trainer.train(resume_from_checkpoint=checkpoint)
        except KeyboardInterrupt:
            if self.world.rank == 0:
                step = max(checkpoints.found(self.run_dir), default=0)
                reached = f"stopped at step {trainer.state.global_step} of {self.config.max_steps}"
                print(f"{self.recipe.arm}: {reached}; the same command goes on from step {step}")
            raise
        for tracker in trackers.attached(trainer):
            tracker.attempt(tracker.close)
        stop.leave_if_asked(trainer.state.global_step)


def begin(
    name: str,
    recipe_kind: type,
    config_kind: type,
    required: tuple[str, ...],
    check: Callable[..., None],
) -> Run | None:
    """Do everything up to the trainer; None if the run is finished already or only to be shown.

    Without any settings the recipe ``name`` runs its arm of the embedded pair.
    """
    without_compiling()
    kinds = (recipe_kind, config_kind, ModelConfig)
    if asked := {"-h", "--help", "--help-all"} & set(sys.argv[1:]):
        print(settings_of.help_text(name, kinds, required, "--help-all" in asked))
        return None
    example = f"recipes/configs/tiny/{name}.yaml"
    if not sys.argv[1:]:
        sys.argv += ["--config", example]
        if steps := settings_of.FIRST_STEPS.get(name):  # in a directory beside that of a whole run
            sys.argv += f"--max_steps {steps} --output_dir runs/tiny/{name}_{steps}_steps".split()
        if os.environ.get("RANK", "0") == "0":
            print(f"no settings, so these of the embedded pair: {shlex.join(sys.argv[1:])}")
    for key in sorted(settings_of.ELSEWHERE.keys() & given_keys()[1]):
        raise UserError(f"{key}: is no key here; {settings_of.ELSEWHERE[key]}")
    # Without a GPU, transformers refuses bf16 unless it is told that the CPU is meant.
    to_show = "dry_run" in given_keys()[1] and not hardware.gpus()
    more = ("--use_cpu", "true") if to_show else ()
    whole = f"handan train {RECIPES[name].command} --config {example}"
    recipe, config, model_config = parse(kinds, required, more, whole)
    given = given_keys()[1]
    for key, cure in settings_of.INERT.items():
        of = model_config if hasattr(model_config, key) else config
        if key in given and getattr(of, key, None) not in (None, False):
            raise UserError(f"{key}: not used here; {cure}")
    settings_of.check_adapters(model_config, given)
    settings_of.check_schedule(recipe)
    settings_of.check_saving(recipe.resume, config)
    check(config, given)
    trusted, _ = loading.trusted_by_recipe(config, model_config)
    if recipe.dry_run:
        settings_of.show_plan(recipe, config, model_config)
        return None
    settings_of.check_installed(config)
    world = processes(recipe.num_threads)
    run_dir = Path(config.output_dir)
    model, tokenizer, fingerprint = loading.load_model(
        model_config.model_name_or_path,
        revision=model_config.model_revision,
        # Updates are smaller than bf16 can tell from nothing; mixed precision computes in bf16.
        dtype=model_config.dtype or "float32",
        attn_implementation=model_config.attn_implementation,
        trusted=trusted,
    )
    form = choose(recipe.reasoning_format, tokenizer)
    suite = load_suite(Path(recipe.suite))
    full_suite = load_suite(Path(recipe.full_suite)) if recipe.full_suite else None
    for note in coverage_notes(suite) if world.rank == 0 else ():
        print(f"note: probe, {note}")
    if config.bf16 and config.use_cpu and world.rank == 0 and not hardware.cpu_has_bf16():
        print(f"note: {hardware.NO_BF16}; pass --bf16 false")
    prompts = shipped(Path(recipe.prompts))
    published, rewards = published_prompts(prompts), getattr(recipe, "rewards", {})
    settings = {
        **settings_of.resolved(recipe, model_config, config),
        "model_fingerprint": fingerprint,
        # A file of the same name may hold something else tomorrow.
        "suite_hash": suite.fingerprint,
        "full_suite_hash": full_suite.fingerprint if full_suite else None,
        "prompts_sha256": prompts_hash(prompts) if prompts.exists() else None,
        "prompts_set": vars(published) if published else None,
        "reward_sha256": {k: one.sha256 for k, one in rewards.items() if one.sha256} or None,
    }
    training = read_run(run_dir).get("training", {})
    if training.get("finished"):
        rundir.check_config(run_dir, "training", settings, SCHEDULE)
        traces = getattr(recipe, "traces", None)
        if traces and Path(traces).exists():
            check_sources(run_dir, {**training, "traces": file_hash(Path(traces))})
        rl.check_learned(recipe.arm, run_dir, training.get("learning", {}))
        print(f"{run_dir}: finished already")
        return None
    probed = []
    if recipe.probe_steps or recipe.probe_log_spaced:
        probed.append(ProbedSuite("probe", suite, recipe.probe_steps, recipe.probe_log_spaced))
    if full_suite is not None:
        probed.append(ProbedSuite("full", full_suite, recipe.full_suite_steps))
    ledger = Ledger(run_dir, world)
    probe = Probe(probed, form, run_dir, recipe.arm, ledger, world, recipe.probe_time_share)
    run = (name, recipe, config, model_config, given, world, model, tokenizer, form, ledger, probe)
    return Run(*run, settings, suites=[suite, *filter(None, [full_suite])])
