"""The embedded world: a model organism small enough to run the whole experiment on a laptop.

It can show how training changes allocation, not that a language model would do the same.
"""
