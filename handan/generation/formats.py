"""Reasoning formats: how each family of models marks its reasoning (table in docs/models.md)."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from handan.errors import UserError
from handan.files import content_hash, read_json

AUTO = "auto"

# Of the model cards; Magistral thinks only if it is asked to.
_MAGISTRAL_PROMPT = (
    "First draft your thinking process (inner monologue) until you arrive at a response. Format "
    "your response using Markdown, and use LaTeX for any mathematical equations. Write both "
    "your thoughts and the response in the same language as the input.\n\nYour thinking process "
    "must follow the template below:[THINK]Your thoughts or/and draft, like working through an "
    "exercise on scratch paper. Be as casual and as long as you want until you are confident to "
    "generate the response. Use the same language as the input.[/THINK]Here, provide a "
    "self-contained response."
)
_MAGISTRAL_2506_PROMPT = (
    "A user will ask you to solve a task. You should first draft your thinking process (inner "
    "monologue) until you have derived the final answer. Afterwards, write a self-contained "
    "summary of your thoughts (i.e. your summary should be succinct but contain all the "
    "critical steps you needed to reach the conclusion). You should use Markdown to format your "
    "response. Write both your thoughts and summary in the same language as the task posed by "
    "the user. NEVER use \\boxed{} in your response.\n\nYour thinking process must follow the "
    "template below:\n<think>\nYour thoughts or/and draft, like working through an exercise on "
    "scratch paper. Be as casual and as long as you want until you are confident to generate a "
    "correct answer.\n</think>\n\nHere, provide a concise summary that reflects your reasoning "
    "and presents a clear final answer to the user. Don't mention that this is a "
    "summary.\n\nProblem:\n\n"
)


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


def _think(name: str, source: str, *template: Any, **more: Any) -> ReasoningFormat:
    return ReasoningFormat(name, "<think>", "</think>", source, None, *template, **more)


_ON, _OFF = {"enable_thinking": True}, {"enable_thinking": False}
_NOT_THINKING = "the same, not thinking; the prompt ends with an empty span"
FORMATS: dict[str, ReasoningFormat] = {
    entry.name: entry
    for entry in (
        _think("tiny", "the embedded world; the prompt ends with <think>"),
        _think(
            "deepseek_r1",
            "DeepSeek-R1 and its distilled students; the prompt ends with <think>\\n, that of the "
            "first weeks does not",
        ),
        _think("qwen3", "Qwen3 (2504) card, thinking; the model writes <think>", _ON),
        _think("qwen3_no_thinking", _NOT_THINKING, _OFF),
        _think("qwen3_5", "Qwen3.5 card and later, thinking; the prompt ends with <think>\\n", _ON),
        _think("qwen3_5_no_thinking", _NOT_THINKING, _OFF),
        _think("qwq", "QwQ-32B and Qwen3-Thinking-2507 cards; the prompt ends with <think>\\n"),
        ReasoningFormat(
            "gpt_oss",
            "<|channel|>analysis<|message|>",
            "<|end|>",
            "OpenAI harmony format; effort medium, the template's own default",
            answer="<|channel|>final<|message|>",
            template={"reasoning_effort": "medium"},
        ),
        _think("olmo3_think", "Olmo 3 Think card; the prompt ends with <think>"),
        ReasoningFormat(
            "magistral",
            "[THINK]",
            "[/THINK]",
            "Magistral 2507 and later cards; the system prompt asks for the span",
            system_prompt=_MAGISTRAL_PROMPT,
        ),
        _think(
            "magistral_2506",
            "Magistral 2506 card; the system prompt asks for the span",
            system_prompt=_MAGISTRAL_2506_PROMPT,
        ),
        _think(
            "asked_to_think",
            "any Instruct or base model, asked to think by a system prompt like that of R1-Zero",
            # In the manner of DeepSeek-R1-Zero (arXiv 2501.12948, table 1), in our words.
            system_prompt="First think about the problem between <think> and </think>. "
            "Then write the answer after </think>.",
        ),
        ReasoningFormat("plain", None, None, "Instruct and base models without a span"),
    )
}


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
