"""Correlations, lines, tests and intervals, as functions on arrays and on draws of items."""
