"""Reasoning formats: how each family of models marks its reasoning (``formats.yaml``)."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from handan.errors import UserError
from handan.files import content_hash, read_json

AUTO = "auto"


@dataclass(frozen=True)
class ReasoningFormat:
    """The format of one family of models."""

    name: str
    open: str | None  # the strings around a reasoning span; None for a model without one
    close: str | None
    source: str  # where this is documented
    # With what the answer begins, where there may be several spans and text between (gpt-oss).
    answer: str | None = None
    template: Mapping[str, Any] = field(default_factory=dict)  # arguments of the chat template
    system_prompt: str | None = None  # what the family needs to be told before it reasons

    @property
    def thinks(self) -> bool:
        """True if a response has a span; if not, the suite says what it costs."""
        return self.open is not None and self.template.get("enable_thinking") is not False

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides prompts and counts."""
        return content_hash({**asdict(self), "source": None})

    def messages(self, question: str) -> list[dict[str, str]]:
        """The conversation a question is asked in."""
        spoken = {"system": self.system_prompt, "user": question}
        return [{"role": who, "content": said} for who, said in spoken.items() if said is not None]


_KNOWN = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
FORMATS = {name: ReasoningFormat(name, **entry) for name, entry in _KNOWN.items()}
_ON, _OFF = {"enable_thinking": True}, {"enable_thinking": False}


# Tokens of models that are trained to reason between them, which some bases of theirs have too.
MARK = re.compile("think|thought|reason|channel", re.IGNORECASE)


def choose(name: str, tokenizer: Any) -> ReasoningFormat:
    """The format called ``name``; for ``auto`` the one the tokenizer's chat template shows."""
    if name == AUTO:
        return detect(tokenizer)
    if name not in FORMATS:
        known = ", ".join((AUTO, *FORMATS))
        raise UserError(f"reasoning_format '{name}' is not known; known: {known}")
    return FORMATS[name]


def choose_for(model: str, name: str, tokenizer: Any) -> ReasoningFormat:
    """Choose like ``choose``, but take what a recipe recorded of a run or its checkpoint."""
    folder = Path(model)
    of_run = [folder.parent] if folder.name.startswith("checkpoint-") else []
    for run in [place / "run.json" for place in (folder, *of_run)]:
        if name == AUTO and run.exists():
            name = read_json(run).get("training", {}).get("reasoning_format", AUTO)
    return choose(name, tokenizer)


def detect(tokenizer: Any) -> ReasoningFormat:
    """The format a chat template shows, by its own words and by what it makes of a question."""
    name = _family(tokenizer) if tokenizer.chat_template else "plain"
    marks = [token for token in tokenizer.get_added_vocab() if MARK.search(token)]
    if name == "plain" and marks:
        raise UserError(
            f"{tokenizer.name_or_path}: '{marks[0]}' is in its vocabulary and it has no chat "
            "template that uses it, so it may not be asked as it was trained; put its template "
            "beside the tokenizer, or pass --reasoning_format plain if it does not reason"
        )
    if name is None:
        raise UserError(
            f"{tokenizer.name_or_path}: its chat template does not show how it marks reasoning; "
            f"pass --reasoning_format NAME; known: {', '.join(FORMATS)}"
        )
    return FORMATS[name]


def _family(tokenizer: Any) -> str | None:
    text = tokenizer.get_chat_template()
    if "<|channel|>" in text and "<|start|>assistant" in text:
        return "gpt_oss"
    if "[THINK]" in text:
        return "magistral"
    if "think" not in text.lower():
        return "plain"
    if "[INST]" in text and "<think>" in text:
        return "magistral_2506"
    if "<\uff5cAssistant\uff5c>" in text:  # with full-width bars
        # Later templates of the family choose by a variable that the format does not set.
        return "deepseek_r1" if "thinking" not in text and "</think>" in text else None
    if "enable_thinking" in text:
        on, off = _opening(tokenizer, **_ON), _opening(tokenizer, **_OFF)
        if not off.rstrip().endswith("</think>"):
            return None
        if on.endswith("<think>\n"):
            return "qwen3_5"
        return "qwen3" if "<think>" not in on else None
    begin = _opening(tokenizer)
    if begin.endswith("<think>"):
        return "olmo3_think" if "<|im_start|>" in text else "tiny"
    return "qwq" if begin.endswith("<think>\n") else None


def _opening(tokenizer: Any, **arguments: Any) -> str:
    asked = [{"role": "user", "content": "1"}]
    without, whole = (
        rendered(tokenizer, asked, add_generation_prompt=add, **arguments) for add in (False, True)
    )
    return whole.removeprefix(without)


def rendered(tokenizer: Any, messages: list[dict[str, str]], **arguments: Any) -> str:
    """What the chat template writes for a conversation."""
    import jinja2

    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, **arguments)
    except jinja2.TemplateError as error:
        raise UserError(
            f"{tokenizer.name_or_path}: its chat template does not take a plain question "
            f"({error}); mend the template or choose another model"
        ) from None
