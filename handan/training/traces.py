"""A teacher's traces: drawn like any other responses, then graded and filtered.

Filtering changes length: wrong and cut-off responses are longer as a rule. So what is dropped is
counted by reason, and the mean length of what stays and what goes is recorded.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from handan import rundir
from handan.arguments import parse
from handan.config import load_yaml, read_yaml
from handan.engines import load_engine, open_engine
from handan.errors import UserError
from handan.formats import AUTO
from handan.generate import Decoding
from handan.launch import Processes, processes
from handan.reading import Question
from handan.records import content_hash, file_hash, read_jsonl, write_jsonl
from handan.responses import Plan, collect
from handan.training.label_audit import tokenizer_fingerprint
from handan.training.prompts import load_prompts


@dataclass
class TraceSettings:
    """How a teacher's traces are made; every key is set in the YAML."""

    output_dir: str = field(metadata={"help": "run directory of the traces"})
    arm: str = field(metadata={"help": "name of the teacher in all tables"})
    model_name_or_path: str = field(metadata={"help": "the teacher"})
    prompts: str = field(metadata={"help": "training prompts, the same as the students'"})
    samples: int = field(metadata={"help": "responses to each prompt"})
    temperature: float = field(metadata={"help": "0 is greedy"})
    top_p: float = field(metadata={"help": "nucleus; 1 is off"})
    max_new_tokens: int = field(metadata={"help": "the cap on a response"})
    batch_size: int = field(metadata={"help": "responses generated together"})
    seed: int = field(metadata={"help": "of the samples"})
    keep: str = field(metadata={"help": "correct: complete and right responses; all: complete"})
    revision: str | None = field(default=None, metadata={"help": "revision of a hub model"})
    engine: str | None = field(
        default=None, metadata={"help": "YAML of the engine; null: transformers in this process"}
    )
    reasoning_format: str = field(
        default=AUTO,
        metadata={"help": "how the teacher marks its reasoning; auto: as its template"},
    )


def main() -> None:
    """Command line of recipes/traces.py."""
    (settings,) = parse((TraceSettings,))
    make_traces(settings, processes())


def ensure_traces(path: Path, config: str | None, world: Processes) -> None:
    """Make a trace file that does not exist yet, if a config says how."""
    if path.exists() or config is None:
        return
    settings = load_yaml(Path(config), TraceSettings)
    wanted = Path(settings.output_dir) / "traces.jsonl"
    if wanted != path:
        raise UserError(f"{config}: makes {wanted}, but 'traces' is {path}; let both agree")
    make_traces(settings, world)


def make_traces(settings: TraceSettings, world: Processes) -> None:
    """Draw all responses, keep those that may be imitated, and count the rest.

    Raises:
        UserError: a setting is impossible, or nothing is left to keep.
    """
    if settings.keep not in ("correct", "all"):
        raise UserError(f"keep is '{settings.keep}'; use correct or all")
    run_dir = Path(settings.output_dir)
    questions = load_prompts(Path(settings.prompts))
    engine = open_engine(
        load_engine(Path(settings.engine) if settings.engine else None),
        settings.model_name_or_path,
        settings.revision,
        reasoning_format=settings.reasoning_format,
        device=world.device,
    )
    config = {
        **asdict(settings),
        "engine": engine.identity,
        "reasoning_format": asdict(engine.form),
        "model_fingerprint": engine.fingerprint,
    }
    del config["output_dir"]
    decoding = Decoding(settings.temperature, settings.top_p, settings.max_new_tokens)
    plan = Plan(
        questions=questions,
        decodings=dict.fromkeys(range(settings.samples), decoding),
        batch_size=settings.batch_size,
        seed=settings.seed,
    )
    labels = {
        "model": settings.arm,
        "settings": content_hash(config),
        "reasoning_format": engine.form.name,
        "seed": settings.seed,
    }
    with rundir.lock(run_dir, world.rank):
        if world.rank == 0:
            rundir.record(run_dir, "traces", config, arm=settings.arm)
        collect(engine, plan, run_dir / "generations.jsonl", labels, world)
        if world.rank == 0:
            tokenizer = tokenizer_fingerprint(engine.tokenizer) if engine.tokenizer else None
            _filter(run_dir, questions, tokenizer, settings.keep)
        world.gather([])  # the other processes wait until the file is there


def teacher_of(traces: Path) -> dict | None:
    """Who made a trace file, if it lies in the run directory it was made in."""
    path = traces.with_name("config.yaml")
    if not path.exists():
        return None
    made = read_yaml(path)["traces"]
    return {"arm": made["arm"], "model_fingerprint": made["model_fingerprint"]}


def _filter(run_dir: Path, questions: Sequence[Question], tokenizer: str | None, keep: str) -> None:
    generations = read_jsonl(run_dir / "generations.jsonl")
    by_key = {(q.item.task, q.item.key): q for q in questions}
    kept, dropped, reasons = [], [], Counter[str]()
    # The order in the file depends on batches; training must not.
    generations.sort(key=lambda row: (row["task"], row["item"], row["sample"]))
    for row in generations:
        question = by_key[row["task"], row["item"]]
        if row["status"] in ("truncated", "unparsed"):
            reasons[row["status"]] += 1
            dropped.append(row)
        elif keep == "correct" and not row["correct"]:
            reasons["wrong"] += 1
            dropped.append(row)
        else:
            item = question.item
            own = tokenizer if row["completion_ids"] else None
            extra = {"question": item.question, "answer": item.answer, "tokenizer": own}
            columns = ("task", "item", "sample", "reasoning_tokens", "text", "completion_ids")
            kept.append(
                {column: row[column] for column in columns}
                | extra
                | {
                    "wording": question.wording,
                    "tokenizer": tokenizer if row["completion_ids"] else None,
                }
            )
    if not kept:
        raise UserError(f"{run_dir}: none of {len(generations)} responses can be kept: {reasons}")
    path = run_dir / "traces.jsonl"
    write_jsonl(path, kept)

    def mean_tokens(rows: Sequence[dict]) -> float | None:
        return sum(r["reasoning_tokens"] for r in rows) / len(rows) if rows else None

    counts = {
        "responses": len(generations),
        "kept": len(kept),
        "dropped": dict(reasons),
        "mean_reasoning_tokens_kept": mean_tokens(kept),
        "mean_reasoning_tokens_dropped": mean_tokens(dropped),
    }
    rundir.add(
        run_dir,
        "traces",
        counts=counts,
        traces_sha256=file_hash(path),
        budget={
            "generated_tokens": sum(row["generated_tokens"] for row in generations),
            "device_seconds": round(sum(row["device_seconds"] for row in generations), 1),
            "peak_memory_gib": rundir.peak_memory_gib(),
        },
    )
    print(f"{path}: kept {len(kept)} of {len(generations)}; dropped {dict(reasons)}", flush=True)
