"""What TRL trains on: every chat template it packages, times every layout a data set may have.

    python benchmarks/template_matrix.py --output docs/results/template-matrix.md

Takes about a minute. The tests run the same cells.
"""

import argparse
import tempfile
from collections import Counter
from itertools import product
from pathlib import Path

import trl
from datasets import disable_progress_bars
from template_cells import FIELDS, KEPT, LAYOUTS, cell, format_for, names, tokenizer_for

# Why a cell is not kept: a piece of its sentence, and what it means.
REASONS = {
    "is not among the trained": "the template drops the reasoning from what is trained",
    "opens the reasoning": "the reasoning is trained, but in other tags than the format's, so the "
    "evaluator would not find it",
    "finds another": "the template opens an empty span before the one in the text, so the "
    "evaluator would find no reasoning",
    "goes on with": "the prompt is not that of an evaluation: the template writes today's date, "
    "and an evaluation always asks with the same one",
    "does not end": "nothing ends the response, so the student would not learn to stop",
    "not training-compatible": "TRL refuses: it cannot tell which tokens are the assistant's",
    "chat template d": "the template takes no plain question, as it is for images",
    "has no attribute": "the same, and the template fails",
}
LETTERS = dict(zip(REASONS, "abcdefgh", strict=True))


def letter(said: str) -> str:
    """The letter of the reason a cell was refused for, or 'kept'."""
    return said if said == KEPT else next(of for piece, of in LETTERS.items() if piece in said)


def document() -> str:
    """The whole matrix as Markdown."""
    disable_progress_bars()
    shown = [layout for layout in LAYOUTS if not layout.endswith(FIELDS[1:])]
    lines, kept = [], Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for name in names():
            tokenizer = tokenizer_for(name)
            form, detected = format_for(tokenizer)
            cells = {layout: letter(cell(tokenizer, layout, folder)) for layout in LAYOUTS}
            for layout, field in product([n for n in shown if n.endswith(FIELDS[0])], FIELDS):
                # transformers reads all names of the field as one.
                assert cells[layout] == cells[layout.replace(FIELDS[0], field)], (name, field)
            kept.update(layout for layout in shown if cells[layout] == KEPT)
            own = form.name if detected else "none"
            lines.append(f"| {name} | {own} | {' | '.join(cells[layout] for layout in shown)} |")
    counted = " | ".join(f"**{kept[layout]}**" for layout in shown)
    return HEAD.format(
        version=trl.__version__,
        columns=" | ".join(shown),
        rules="|".join("---" for _ in shown),
        lines="\n".join(lines),
        count=len(lines),
        kept=counted,
        reasons="\n".join(f"- **{LETTERS[piece]}**: {text}" for piece, text in REASONS.items()),
    )


HEAD = """# Is the trace in the trained labels?

`python benchmarks/template_matrix.py --output docs/results/template-matrix.md`, TRL {version}.

Every chat template TRL packages, times every layout a data set of traces may have. Each cell is a
real `SFTTrainer` on two traces, whose labels are audited: **kept** if the whole trace, reasoning,
answer and end of sequence, is trained after the prompt of an evaluation, and the evaluator would
count exactly the reasoning of the trace in it; else the letter of the first reason for which the
audit (`audit_labels`) or TRL refuses. The recipes use the first layout alone: rows of
token ids.

'format' is the reasoning format the template shows; where it shows none, `<think>` was set.
'inline' is `<think>` and `</think>` in the message, 'reasoning_content' a field of the message;
`reasoning` and `thinking` give the same, as transformers reads the three as one. Messages are
trained with `assistant_only_loss`, without which TRL trains on the questions too.

{reasons}

| template | format | {columns} |
|---|---|{rules}|
{lines}
| **kept, of {count}** | | {kept} |
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="default: the terminal")
    output = parser.parse_args().output
    if output is None:
        print(document())
    else:
        output.write_text(document(), encoding="utf-8")
        print(f"wrote {output}")
