"""Code that a model brings along: not run, unless a YAML names the commit it is at.

A commit names its content, so what was read before it was trusted is what runs. A branch or a tag
can move, and the files of a directory can change: neither is ever trusted.
"""

import re
from pathlib import Path
from typing import Any

from handan.arguments import line_keys
from handan.errors import UserError
from handan.records import read_json

COMMIT = re.compile(r"[0-9a-f]{40}")
CURE = (
    "read that code, and if you trust it set trust_remote_code in the YAML: of an engine to the "
    "commit of the code, of a recipe to true beside a model_revision that is a commit"
)
NAMED_IN = ("config.json", "tokenizer_config.json")
PLACES = {
    f"{whose}_{what}"
    for whose in ("model", "teacher_model")
    for what in ("name_or_path", "revision")
}


def options(trusted: str | None) -> dict[str, Any]:
    """What ``from_pretrained`` is told: to run no code, or that of one commit."""
    if trusted is None:
        return {"trust_remote_code": False}
    return {"trust_remote_code": True, "code_revision": trusted}


def check(model_name: str, revision: str | None, trusted: str | None) -> None:
    """Stop unless the code that is trusted can be no other tomorrow.

    Args:
        model_name: a directory or ``owner/name`` on the hub.
        revision: of the hub repository.
        trusted: commit of the code; None if none is.

    Raises:
        UserError: ``trusted`` is no commit, or the code is not at it.
    """
    if trusted is None:
        return
    if not COMMIT.fullmatch(trusted):
        raise UserError(
            f"trust_remote_code is '{trusted}'; give a commit, 40 hexadecimal digits: a branch or "
            "a tag can move"
        )
    folder = Path(model_name)
    if not folder.is_dir():
        if revision != trusted:
            raise UserError(
                f"{model_name}: trust_remote_code names commit {trusted} and its revision is "
                f"{revision or 'main'}; let both agree"
            )
        return
    for name in NAMED_IN:
        named = read_json(folder / name).get("auto_map", {}) if (folder / name).exists() else {}
        listed = [entry if isinstance(entry, list) else [entry] for entry in named.values()]
        if own := [code for entry in listed for code in entry if code and "--" not in code]:
            raise UserError(
                f"{folder / name}: names code of the directory itself ({own[0]}), which is never "
                "run; name the repository of the code in auto_map, as owner/name--module.Class"
            )


def of_recipe(config: Any, model_config: Any) -> tuple[str | None, str | None]:
    """The commits whose code a recipe's YAML trusts, of its model and of its teacher.

    Args:
        config: TRL's configuration.
        model_config: TRL's ModelConfig.

    Raises:
        UserError: a revision is no commit, or the command line says which model it is.
    """
    if not config.trust_remote_code:
        return None, None
    if elsewhere := sorted(line_keys() & PLACES):
        raise UserError(
            f"--{elsewhere[0]}: the YAML trusts the code of the model that it names itself; name "
            "this one there, or set trust_remote_code to false"
        )
    revision = model_config.model_revision
    teacher = getattr(config, "teacher_model_revision", None)
    if not COMMIT.fullmatch(revision or ""):
        raise UserError(
            "trust_remote_code is true: set 'model_revision' to a commit, 40 hexadecimal digits; "
            "a branch or a tag can move"
        )
    return revision, teacher if COMMIT.fullmatch(teacher or "") else None


def told(error: Exception) -> str:
    """The first line of what loading failed with, or what to do about code that was not run."""
    text = str(error).strip()
    if "trust_remote_code" in text or "custom code" in text:
        return f"it needs code that its repository brings along, which is not run; {CURE}"
    return text.splitlines()[0] if text else type(error).__name__


def refuse_kernel(implementation: Any, place: str) -> None:
    """Stop where the attention is a kernel of the hub, which is code too.

    Raises:
        UserError: names it.
    """
    names = implementation.values() if isinstance(implementation, dict) else [implementation]
    for name in names:
        if isinstance(name, str) and "/" in name:
            raise UserError(
                f"{place}: attn_implementation is '{name}', code of a hub repository; use sdpa, "
                "eager or an installed package such as flash_attention_2"
            )
