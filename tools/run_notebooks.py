"""Run notebooks in this process, cell by cell, and write their outputs, without a kernel.

python tools/run_notebooks.py docs/notebooks/first_look.ipynb
"""

import ast
import contextlib
import io
import json
import sys
from pathlib import Path

from handan.files import write_text


def run(path: Path) -> dict:
    """The notebook with the outputs of all its cells, run in its folder."""
    notebook, names = json.loads(path.read_text(encoding="utf-8")), {"__name__": "__main__"}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    with contextlib.chdir(path.parent):
        for number, cell in enumerate(cells, start=1):
            cell["execution_count"] = number
            cell["outputs"] = _outputs("".join(cell["source"]), names, number)
    return notebook


def _outputs(source: str, names: dict, number: int) -> list[dict]:
    """What a cell prints, and the value of its last expression."""
    *statements, last = ast.parse(source).body
    shown = ast.Expression(last.value) if isinstance(last, ast.Expr) else None
    body = ast.Module(statements if shown else [*statements, last], type_ignores=[])
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(body, f"cell {number}", "exec"), names)  # noqa: S102
        if shown:
            value = eval(compile(shown, f"cell {number}", "eval"), names)  # noqa: S307
    outputs: list[dict] = []
    if text := printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": _lines(text)})
    if value is not None:
        data = {"text/plain": _lines(repr(value))}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = _lines(value._repr_html_())
        outputs.append({"data": data, "execution_count": number, "metadata": {}})
        outputs[-1]["output_type"] = "execute_result"
    return outputs


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        text = json.dumps(run(Path(name)), indent=1, ensure_ascii=False, sort_keys=True)
        write_text(Path(name), f"{text}\n")
