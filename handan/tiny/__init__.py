"""The embedded world: a model organism small enough to run the whole experiment on a laptop.

A from-scratch transformer with a vocabulary of some fifty words reads arithmetic and ordering
problems in a compact notation and reasons in steps. It is trained and measured by the same recipes
and the same evaluator as a model of many billion parameters. What it can show is how training
changes allocation; what it cannot show is that a language model would do the same.
"""
