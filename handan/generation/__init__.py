"""Prompts, reasoning formats and spans, and the engines that turn prompts into completions."""
