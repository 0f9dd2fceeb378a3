"""Declared experiments, studies and zoos: planned, run and summarised over seeds."""
