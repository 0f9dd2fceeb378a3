"""Rewards as a user writes them, which tests name as ``tests.own_rewards:NAME``."""


def brief(prompts, completions, reasoning_tokens, **columns):
    return [1 / (1 + tokens) for tokens in reasoning_tokens]


def of_level(completions, level, **columns):
    return [float(one) for one in level]


def unsure(completions, **columns):
    return [None, *[0.5] * (len(completions) - 1)]


def too_few(completions, **columns):
    return [1.0]


def not_a_number(completions, **columns):
    return [float("nan")] * len(completions)


def forgotten(completions, **columns):
    pass
