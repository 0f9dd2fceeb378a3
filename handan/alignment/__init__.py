"""From costs to alignment: measures, intervals, contrasts and their tables. No torch here.

``docs/methods.md`` has the formulas, their sources and what they were checked against.
"""
