"""A whole zoo on one suite: every model in a process of its own, then all of them compared.

A process each, because weights and an engine's memory are surely freed only with their process,
and because one model that fails must not end the others.
"""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml

from handan import machine, rundir
from handan.alignment.data.compare import read_runs
from handan.alignment.data.pairs import read_pairs
from handan.alignment.measure import align
from handan.architectures import find
from handan.config import read_yaml
from handan.csv_input import read_table
from handan.durable import append_text, make_directory
from handan.errors import UserError
from handan.evaluate import BOOTSTRAP
from handan.plan import Gpu, layout, work_of
from handan.records import content_hash, read_json, write_csv, write_json, write_text
from handan.suite import Suite, asked_by, asked_otherwise, suite_items
from handan.zoo import Entry, Zoo, pair_rows

LOGS = "logs"


def run_zoo(
    zoo: Zoo,
    entries: Sequence[Entry],
    suite: Suite,
    suite_path: Path,
    output_dir: Path,
    script: str,
    engine: str | None = None,
    more: Sequence[str] = (),
) -> dict | None:
    """Evaluate ``entries`` one after the other, and compare all once all are there.

    Args:
        zoo: the zoo.
        entries: those of it to run now.
        suite: what each is asked.
        suite_path: its YAML.
        output_dir: receives a run directory for each entry, named after it.
        script: path of ``eval/run.py``.
        engine: YAML of an engine that goes before the zoo's.
        more: further words for the script.

    Returns:
        The joint content of alignment.json, or None while entries of the zoo are missing.

    Raises:
        UserError: entries failed, after the others have run.
    """
    logs = output_dir / LOGS
    make_directory(logs)
    failed, asked = {}, asked_by(suite_items(suite))
    for number, entry in enumerate(entries, start=1):
        words = [script, *_words(zoo, entry, suite, suite_path, output_dir, engine, more)]
        done = logs / f"{entry.name}.done.json"
        if _is_done(done, words) and not asked_otherwise(output_dir / entry.name, asked):
            print(f"{entry.name}: finished already ({number} of {len(entries)})", flush=True)
            continue
        print(f"{entry.name} ({number} of {len(entries)}): python {shlex.join(words)}", flush=True)
        code, last_line = _follow(words, logs / f"{entry.name}.log")
        if code == 0:
            write_json(done, _identity(words))
        else:
            failed[entry.name] = last_line.removeprefix("handan: error: ") or f"exit code {code}"
    if failed:
        reasons = "; ".join(f"{name} ({reason})" for name, reason in failed.items())
        raise UserError(
            f"{len(failed)} of {len(entries)} models failed: {reasons}; logs are in {logs}, and "
            "the same command tries them again"
        )
    absent = [entry.name for entry in zoo.models if not (logs / f"{entry.name}.done.json").exists()]
    if absent:
        print(f"not compared yet: {', '.join(absent)} of the zoo are not evaluated", flush=True)
        return None
    with rundir.lock(output_dir, 0):  # of a job array two jobs can be the last one
        return join(zoo, suite, output_dir)


def join(zoo: Zoo, suite: Suite, output_dir: Path) -> dict:
    """One costs.csv, pairs.csv, alignment.json and report over all run directories of a zoo.

    Raises:
        UserError: two runs were measured differently, though the zoo asks for one setting.
    """
    run_dirs = [output_dir / entry.name for entry in zoo.models]
    runs = read_runs(run_dirs, allow_different=zoo.decoding != "suite")
    rows = [dict(row) for run_dir in run_dirs for _, row in read_table(run_dir / "costs.csv")[1]]
    write_csv(output_dir / "costs.csv", list(dict.fromkeys(k for row in rows for k in row)), rows)
    comparisons = None
    if pairs := pair_rows(zoo, suite.greedy):
        write_csv(output_dir / "pairs.csv", ["student", "base", "teacher"], pairs)
        comparisons = read_pairs(output_dir / "pairs.csv", runs.table.names("model"))
    result = align(runs.table, bootstrap=BOOTSTRAP, seed=suite.seed, comparisons=comparisons)
    result["notes"] = runs.notes + result["notes"]
    write_json(output_dir / "alignment.json", result)
    _tell_relations(zoo, output_dir)
    from handan import report  # draws, and so takes a moment to import

    report.write(run_dirs, output_dir / "report" / "report.html")
    return result


def _tell_relations(zoo: Zoo, output_dir: Path) -> None:
    """Write into each run.json what the zoo says of the model's training, by hashes of weights."""
    weights = {
        entry.name: read_yaml(output_dir / entry.name / "config.yaml")["evaluation"][
            "model_fingerprint"
        ]
        for entry in zoo.models
    }
    for entry in zoo.models:
        told: dict = {"role": entry.role, "inferred": entry.inferred}
        if entry.base is not None:
            told["base"] = weights[entry.base]
        if entry.teacher is not None:
            teacher = {"arm": entry.teacher, "model_fingerprint": weights[entry.teacher]}
            told |= {"teacher": teacher, "recipe": "sft_distill"}
        path = output_dir / entry.name / "run.json"
        with rundir.lock(path.parent, 0):
            write_json(path, read_json(path) | {"published": told})


def _words(
    zoo: Zoo,
    entry: Entry,
    suite: Suite,
    suite_path: Path,
    output_dir: Path,
    engine: str | None,
    more: Sequence[str],
) -> list[str]:
    """Arguments for this interpreter that evaluate one entry, as a user could type them."""
    own = zoo.suite_for(entry, suite)
    if own != suite:
        suite_path = output_dir / LOGS / f"{entry.name}.suite.yaml"
        write_text(suite_path, yaml.safe_dump(asdict(own), sort_keys=False, allow_unicode=True))
    words = ["--model", entry.model, "--suite", str(suite_path)]
    words += ["--output_dir", str(output_dir / entry.name), "--arm", entry.name]
    words += ["--reasoning_format", entry.reasoning_format]
    if entry.revision is not None:
        words += ["--revision", entry.revision]
    engine = engine or entry.engine or zoo.engine
    if engine is not None:
        words += ["--engine", str(_shared_engine(Path(engine), entry, suite, output_dir))]
    return [*words, *more]


def _shared_engine(path: Path, entry: Entry, suite: Suite, output_dir: Path) -> Path:
    """The engine's YAML, with as many of this machine's GPUs as one model needs."""
    settings, sizes, gpus = read_yaml(path), find(entry.model), machine.gpus()
    if settings.get("engine") != "vllm" or sizes is None or not gpus:
        return path
    gpu = Gpu(min(gpu.memory for gpu in gpus), 1.0, 1.0)
    needed = layout(sizes, work_of(suite, suite_items(suite)), gpu, "paged").gpus
    if not settings.get("tensor_parallel_size", 1) < needed <= len(gpus):
        return path
    own = output_dir / LOGS / f"{entry.name}.engine.yaml"
    shared = settings | {"tensor_parallel_size": needed}
    write_text(own, yaml.safe_dump(shared, sort_keys=False))
    return own


def _identity(words: Sequence[str]) -> dict:
    """What a finished evaluation was: its command and the settings files it named."""
    texts = [Path(word).read_text(encoding="utf-8") for word in words if word.endswith(".yaml")]
    return {"command": shlex.join(words), "settings": content_hash(texts)}


def _is_done(mark: Path, words: Sequence[str]) -> bool:
    return mark.exists() and read_json(mark) == _identity(words)


def _follow(words: Sequence[str], log_path: Path) -> tuple[int, str]:
    """Run one evaluation, showing and keeping what it prints; its exit code and last line."""
    last_line = ""
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
            append_text(log_path, line)
            last_line = line.strip() or last_line
    except BaseException:
        process.terminate()
        process.wait()
        raise
    return process.wait(), last_line
