"""Staged generation against transformers' own, on the embedded world's items.

    python benchmarks/generation.py

Prints one table: CPU seconds of both for the same prompts, decoding and batch size, in turn, and
the median ratio. Both draw from the same distribution; lengths are shown so that it can be seen.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

from handan.engines import load_engine, open_engine
from handan.engines.transformers import TransformersEngine, complete
from handan.evaluate import suite_plan
from handan.suite import load_suite, suite_items


def main() -> None:
    """Time both, alternating."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="handan/tiny/weights/base")
    parser.add_argument("--suite", type=Path, default=Path("eval/suites/tiny.yaml"))
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    engine = open_engine(load_engine(None), arguments.model)
    assert isinstance(engine, TransformersEngine)
    model, tokenizer = engine.model, engine.tokenizer
    suite = load_suite(arguments.suite)
    batches = suite_plan(suite, suite_items(suite)).batches(engine)
    full = [b for b in batches if len(b) == suite.batch_size and b[0].decoding.temperature > 0]
    batch = full[-1]
    decoding, ends = batch[0].decoding, engine.ends
    prompts = [list(request.prompt_ids) for request in batch]
    longest = max(map(len, prompts))
    padded = [[tokenizer.pad_token_id] * (longest - len(p)) + p for p in prompts]

    def staged() -> list[int]:
        return [len(row) for row in complete(model, prompts, decoding, ends)]

    def plain() -> list[int]:
        ids = torch.tensor(padded)
        output = model.generate(
            ids,
            attention_mask=(ids != tokenizer.pad_token_id).long(),
            max_new_tokens=decoding.max_new_tokens,
            do_sample=True,
            temperature=decoding.temperature,
            top_k=0,
        )
        rows = output[:, longest:].tolist()
        return [row.index(ends[0]) + 1 if ends[0] in row else len(row) for row in rows]

    figures: dict[str, list[tuple[float, float]]] = {"staged": [], "transformers": []}
    for _ in range(arguments.runs + 1):
        for name, function in (("staged", staged), ("transformers", plain)):
            started = time.process_time()
            lengths = function()
            seconds = time.process_time() - started
            figures[name].append((seconds, statistics.mean(lengths)))
    print(f"{len(prompts)} prompts, cap {decoding.max_new_tokens}, median of {arguments.runs} runs")
    print(f"{'':14}{'CPU s':>8}{'tokens a response':>20}")
    for name, runs in figures.items():
        seconds, length = (statistics.median(values) for values in zip(*runs[1:], strict=True))
        print(f"{name:14}{seconds:8.2f}{length:20.1f}")
    pairs = zip(figures["transformers"][1:], figures["staged"][1:], strict=True)
    ratio = statistics.median(plain[0] / own[0] for plain, own in pairs)
    print(f"staged generation is {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
