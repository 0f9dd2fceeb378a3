"""From costs to alignment: figures, intervals, contrasts and their tables. No torch here.

- In: ``costs.py`` reads ``costs.csv`` into a ``cost_table.py``, ``compare.py`` those of runs,
  ``human_side.py`` adds norms or trials, ``pairs.py`` says which models are compared.
- Costs: ``item_costs.py`` defines an item's cost, ``people.py`` what is known of participants.
- Uncertainty: ``bootstrap.py`` draws items, ``intervals.py`` reads the draws, ``correlate.py`` does
  both for many correlations; ``statistics.py`` and ``lines.py`` are pure functions on arrays.
- Figures: ``measure.py`` makes ``alignment.json`` of ``task_figures.py`` (with ``confounds.py`` and
  ``censored.py``), ``means.py``, ``contrasts.py`` (``dependent.py``, ``verdict.py``),
  ``inflation.py`` (``laws.py``), ``study.py`` (``similarity.py``, ``effort.py``) and ``power.py``.
- Out: ``tables.py`` and ``study_tables.py`` say what stands where, ``render.py`` writes it.

``docs/methods.md`` has the formulas, their sources and what they were checked against.
"""
