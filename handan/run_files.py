"""What a run directory says of itself, once it is sure that its files hold what they should."""

from pathlib import Path
from typing import Any

from handan.config import read_yaml
from handan.errors import UserError
from handan.records import read_json, read_keyed

# (question, right answer) by (task, item)
Asked = dict[tuple[str, str], tuple[str, str]]
STAGES = ("pretraining", "training", "evaluation", "traces", "sweep")


def read_run(run_dir: Path, there: bool = False) -> dict[str, Any]:
    """What is in ``run.json``.

    Args:
        run_dir: the directory.
        there: whether the file must be there.

    Returns:
        Its content, {} if there is no file.

    Raises:
        UserError: the file is damaged, or missing though it must be there.
    """
    path = run_dir / "run.json"
    if not there and not path.exists():
        return {}
    return _stages(read_json(path), path)


def read_settings(run_dir: Path, there: bool = False) -> dict[str, dict[str, Any]]:
    """The settings of each stage in ``config.yaml``.

    Args, Returns, Raises: as ``read_run``.
    """
    path = run_dir / "config.yaml"
    if not there and not path.exists():
        return {}
    return _stages(read_yaml(path), path)


def read_asked(run_dir: Path) -> Asked:
    """Question and right answer of each task and item in ``items.jsonl``; {} if there is no file.

    Raises:
        UserError: the file is damaged.
    """
    path = run_dir / "items.jsonl"
    if not path.exists():
        return {}
    rows = read_keyed(path, ("task", "item", "question", "answer"), unique=False)
    return {(row["task"], row["item"]): (row["question"], row["answer"]) for row in rows}


def _stages(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object; restore the file or remove the run")
    for stage in STAGES:
        if not isinstance(content.get(stage, {}), dict):
            raise UserError(
                f"{path}: '{stage}' holds no settings, but {content[stage]!r}; restore the file or "
                "remove the run"
            )
    return content
