"""From costs to alignment: figures, intervals, contrasts and their tables. No torch here.

``measure.align`` makes ``alignment.json``. What it stands on:

- ``data/``: ``costs.py`` reads ``costs.csv`` by its ``cells.py`` into a ``cost_table.py``,
  ``compare.py`` those of runs; ``human_side.py`` adds norms or trials, ``pairs.py`` says which
  models are compared; ``item_costs.py`` defines an item's cost, ``people.py`` what is known of
  participants.
- ``statistics/``: ``basic.py``, ``lines.py`` and ``dependent.py`` are functions on arrays;
  ``bootstrap.py`` draws items, ``intervals.py`` reads the draws, ``correlate.py`` does both for
  many correlations, ``censored.py`` treats the token cap.
- ``figures/``: ``task_figures.py`` with ``confounds.py``, ``means.py``, ``contrasts.py`` with
  ``verdict.py``, ``inflation.py`` with ``laws.py``, ``study.py`` with ``similarity.py`` and
  ``effort.py``, and ``power.py``.
- ``measures.py`` declares every measure: where it is stored, its name, unit and where it is shown.
- ``output/``: ``tables.py`` and ``study_tables.py`` say what stands where, ``render.py`` writes.

``docs/methods.md`` has the formulas, their sources and what they were checked against.
"""
