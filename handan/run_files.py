"""Reading what a run directory says of itself."""

from pathlib import Path
from typing import Any

from handan.config import read_yaml
from handan.errors import UserError
from handan.records import read_json, read_keyed

# (question, right answer) by (task, item)
Asked = dict[tuple[str, str], tuple[str, str]]
STAGES = ("pretraining", "training", "evaluation", "traces", "sweep")


def read_run(run_dir: Path, there: bool = False) -> dict[str, Any]:
    """Read ``run.json``; {} if there is no such file and none must be ``there``.

    Raises:
        UserError: the file is damaged, or missing though it must be there.
    """
    path = run_dir / "run.json"
    return _checked(path, read_json(path)) if there or path.exists() else {}


def read_settings(run_dir: Path, there: bool = False) -> dict[str, dict[str, Any]]:
    """Read the settings of each stage from ``config.yaml``, as ``read_run`` reads its file."""
    path = run_dir / "config.yaml"
    return _checked(path, read_yaml(path)) if there or path.exists() else {}


def _checked(path: Path, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object; restore the file or remove the run")
    for stage in STAGES:
        if not isinstance(content.get(stage, {}), dict):
            raise UserError(
                f"{path}: '{stage}' holds no settings, but {content[stage]!r}; restore the file or "
                "remove the run"
            )
    return content


def read_asked(run_dir: Path) -> Asked:
    """Question and right answer of each item in ``items.jsonl``; {} if there is no such file."""
    path = run_dir / "items.jsonl"
    if not path.exists():
        return {}
    rows = read_keyed(path, ("task", "item", "question", "answer"), unique=False)
    return {(row["task"], row["item"]): (row["question"], row["answer"]) for row in rows}
