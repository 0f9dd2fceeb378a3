"""Logs in tests/logs, written by the tools themselves, and ``handan costs`` on them."""

import csv
import json
from pathlib import Path

from embedded import WEIGHTS

from handan.alignment.costs import read_costs
from handan.cli import command

LOGS = Path(__file__).parent / "logs"
ITEMS = LOGS / "items.csv"
TOKENIZER = WEIGHTS / "base"
LM_EVAL = LOGS / "lm_eval"
ADDITION = next(LM_EVAL.glob("samples_binary_addition_*.jsonl"))
SUBTRACTION = next(LM_EVAL.glob("samples_binary_subtraction_*.jsonl"))
STRIPPED = LOGS / "lm_eval_without_thinking"
EVAL = LOGS / "inspect" / "binary_addition.eval"
JSON = LOGS / "inspect" / "binary_subtraction.json"
MOCK = LOGS / "inspect" / "mock.eval"
RESPONSES = LOGS / "openai" / "responses.jsonl"
BATCH = LOGS / "openai" / "batch.jsonl"
RESPONSES_API = LOGS / "openai" / "responses_api.jsonl"
MESSAGES = LOGS / "anthropic" / "batch.jsonl"
LIGHTEVAL = LOGS / "lighteval"
HUMAN = LOGS / "inspect" / "human.eval"


def costs(tmp_path, *logs, tool, items=ITEMS, tokenizer=TOKENIZER, more=()):
    """The rows that ``handan costs`` writes, by (model, task, item, sample)."""
    output = tmp_path / "costs.csv"
    given = ["--tokenizer", str(tokenizer)] if tokenizer else []
    words = [*map(str, logs), "--from", tool, "--output", str(output)]
    words += ["--items", str(items)] if items else []
    command(["costs", *words, *given, *map(str, more)])
    assert len(read_costs(output).notes) == 0
    with open(output, newline="") as file:
        rows = list(csv.DictReader(file))
    return {(row["model"], row["task"], row["item"], row["sample"]): row for row in rows}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
