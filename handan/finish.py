"""Why a response ended, in the words of servers and tools.

Four classes. A response the model ended itself has a length of thought; one that was cut has at
least that; one whose request failed, or that was withheld, has none. ``docs/models.md`` says what
follows from each.
"""

ENDED, CUT, FAILED, WITHHELD = "ended", "cut", "failed", "withheld"

_WORDS = {
    ENDED: (
        *("stop", "eos", "eos_token", "eos_found", "end", "end_turn", "end_of_text", "word"),
        *("stop_sequence", "stop_string", "stop_str", "stop_token", "complete", "completed"),
        *("tool_calls", "tool_call", "tool_use", "function_call", "pause_turn", "reason_stop"),
    ),
    CUT: (
        *("length", "max_tokens", "max_token", "max_length", "max_output_tokens", "max_new_tokens"),
        *("model_length", "context_length", "token_limit", "limit", "incomplete"),
        *("model_context_window_exceeded", "reason_max_len", "reason_max_context", "repetition"),
    ),
    # Any word with 'error' in it is of this class too.
    FAILED: (
        *("insufficient_system_resource", "abort", "aborted", "cancel", "cancelled", "canceled"),
        *("user_cancel", "interrupted", "preempted", "timeout", "time_limit", "failed", "failure"),
        *("overloaded", "rate_limit", "unavailable", "load", "unload", "not_finished"),
    ),
    WITHHELD: (
        *("content_filter", "content_filtered", "refusal", "safety", "image_safety", "recitation"),
        *("blocklist", "blocked", "prohibited_content", "spii", "sensitive", "moderation"),
        *("guardrail", "guardrails", "guardrail_intervened", "error_toxic", "language"),
    ),
}
_CLASS = {word: name for name, words in _WORDS.items() for word in words}


def class_of(word: str | None) -> str | None:
    """The class of a finish reason; None where it says nothing, or nothing that is known here.

    Capitals, hyphens and the name of an enumeration in front (``FinishReason.STOP``) change
    nothing.
    """
    plain = (word or "").strip().lower().rpartition(".")[2].replace("-", "_").replace(" ", "_")
    plain = plain.removeprefix("finish_reason_")
    return _CLASS.get(plain) or (FAILED if "error" in plain else None)


def ended(word: str | None) -> bool | None:
    """Whether the model ended the response itself; None where its finish reason does not say."""
    return {ENDED: True, CUT: False}.get(class_of(word) or "")
