"""The evaluator, from a loaded model to alignment.json, against transformers' ``generate``.

    python benchmarks/evaluation.py

The embedded world's suite with 16 items a task and nine responses an item, cap 256. Here: the whole
of ``evaluate`` (prompts, staged generation in batches of similar prompts, counts, grades, files on
disk, alignment with its intervals). The peers make prompts and generate and decode in the order of
the data set, in batches of the same size or one by one, and do nothing else; one by one is measured
on some of the requests. All draw from the same distributions; mean lengths are shown so that it can
be seen.
"""

import argparse
import dataclasses
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from measure import Result, in_turn, ratio, table

from handan.evaluation.evaluate import evaluate, suite_plan
from handan.evaluation.suite import Suite, load_suite, suite_items
from handan.files import read_jsonl
from handan.generation import prompting
from handan.generation.engines import load_engine, open_engine
from handan.generation.prompting import Decoding
from handan.generation.transformers_engine import TransformersEngine
from handan.launch import SINGLE

ONE_BY_ONE = 36


class Peer:
    """Transformers' own generation of a suite's requests, in the order of the data set."""

    def __init__(self, engine: TransformersEngine, suite: Suite) -> None:
        self.engine, self.suite = engine, suite
        self.lengths: list[int] = []

    def requests(self) -> list[tuple[str, Decoding]]:
        """Question and decoding of every response, item after item."""
        decodings = self.suite.decodings().values()
        return [
            (entry.item.question, decoding)
            for entry in suite_items(self.suite)
            for decoding in decodings
        ]

    def run(self, requests: list[tuple[str, Decoding]], batch_size: int) -> None:
        """Generate and decode; ``generate`` takes one decoding at a time."""
        self.lengths.clear()
        for decoding in dict.fromkeys(decoding for _, decoding in requests):
            questions = [question for question, of in requests if of == decoding]
            for start in range(0, len(questions), batch_size):
                self._batch(questions[start : start + batch_size], decoding)

    def _batch(self, questions: list[str], decoding: Decoding) -> None:
        tokenizer, end = self.engine.tokenizer, self.engine.ends[0]
        prompts = [list(prompting.prompt_ids(tokenizer, q, self.engine.form)) for q in questions]
        longest = max(map(len, prompts))
        padded = [[tokenizer.pad_token_id] * (longest - len(p)) + p for p in prompts]
        ids = torch.tensor(padded)
        sampled: dict[str, Any] = {"do_sample": False}
        if decoding.temperature > 0:
            sampled = {"do_sample": True, "temperature": decoding.temperature, "top_k": 0}
        output = self.engine.model.generate(
            ids,
            attention_mask=(ids != tokenizer.pad_token_id).long(),
            max_new_tokens=decoding.max_new_tokens,
            **sampled,
        )
        rows = output[:, longest:].tolist()
        tokenizer.batch_decode(rows, skip_special_tokens=True)
        self.lengths += [row.index(end) + 1 if end in row else len(row) for row in rows]


def main() -> None:
    """Time all three, in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="handan/tiny/weights/base")
    parser.add_argument("--suite", type=Path, default=Path("eval/suites/tiny.yaml"))
    parser.add_argument("--items_per_task", type=int, default=16)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    engine = open_engine(load_engine(None), arguments.model)
    assert isinstance(engine, TransformersEngine)
    suite = load_suite(arguments.suite)
    suite = dataclasses.replace(suite, items_per_task=arguments.items_per_task)
    peer = Peer(engine, suite)
    requests = peer.requests()
    # Evenly over the tasks, and as many greedy ones as in the whole.
    some = requests[:: math.ceil(len(requests) / ONE_BY_ONE) | 1]
    ours: list[float] = []
    lengths: dict[str, float] = {}

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            evaluate(engine, suite, Path(folder), "base", arguments.model, SINGLE)
            rows = read_jsonl(Path(folder) / "generations.jsonl")
        lengths["handan, whole evaluation"] = statistics.mean(r["generated_tokens"] for r in rows)

    def batched() -> None:
        peer.run(requests, suite.batch_size)
        lengths["generate, batched"] = statistics.mean(peer.lengths)

    def one_by_one() -> None:
        peer.run(some, 1)
        lengths["generate, one by one"] = statistics.mean(peer.lengths)

    for warm in (whole, one_by_one):
        warm()
    functions = {
        "handan, whole evaluation": whole,
        "generate, batched": batched,
        "generate, one by one": one_by_one,
    }
    spent = in_turn(functions, arguments.runs)
    counts = dict.fromkeys(functions, len(requests)) | {"generate, one by one": len(some)}
    each = {name: [s / counts[name] for s in seconds] for name, seconds in spent.items()}
    ours = each["handan, whole evaluation"]
    rows = [
        (
            name,
            f"{1 / statistics.median(seconds):.0f}",
            f"{ratio(seconds, ours):.1f}",
            f"{lengths[name]:.1f}",
        )
        for name, seconds in each.items()
    ]
    table(
        (f"{len(requests)} responses", "responses per CPU s", "times as long", "tokens each"), rows
    )
    parts(engine, suite, statistics.median(spent["handan, whole evaluation"]))
    for name, least in (("generate, batched", 2), ("generate, one by one", 10)):
        times = ratio(each[name], ours)
        Result(
            "evaluation", f"transformers' {name}", f">= {least}x", f"{times:.1f}x", times >= least
        ).tell()


def parts(engine: TransformersEngine, suite: Suite, whole_s: float) -> None:
    """Where the evaluator's time goes, and how near generation is to the model's products."""
    plan = suite_plan(suite, suite_items(suite))
    started = time.process_time()
    batches = plan.batches(engine)
    prepared = time.process_time()
    completions = [
        (request, len(found.ids)) for drawn in engine.stream(batches, 0) for request, found in drawn
    ]
    generated = time.process_time()
    parameters = sum(p.numel() for p in engine.model.parameters())
    tokens = sum(len(request.prompt_ids) + length for request, length in completions)
    least = 2 * parameters * tokens / gemm_flops(engine.model.config.hidden_size, suite.batch_size)
    rows = [
        ("prompts", prepared - started),
        ("generation", generated - prepared),
        ("of it the products of all tokens, at the speed of products of their shape", least),
        ("grades, files, alignment", whole_s - (generated - started)),
    ]
    table(("part of an evaluation", "CPU s"), [(name, f"{s:.2f}") for name, s in rows])


def gemm_flops(width: int, rows: int) -> float:
    """Operations a second of one layer's product, of the shape that a batch of tokens has."""
    left, right = torch.rand(rows, width), torch.rand(width, 4 * width)
    spent = in_turn({"product": lambda: [left @ right for _ in range(50)]}, 3)["product"]
    return 50 * 2 * rows * width * 4 * width / min(spent)


if __name__ == "__main__":
    main()
