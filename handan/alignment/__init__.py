"""From costs to alignment: figures, intervals, contrasts and their tables. No torch here.

``costs.py`` reads ``costs.csv`` into ``cost_rows.py``; ``item_costs.py`` defines an item's cost;
``measure.py`` makes ``alignment.json`` of it with ``statistics.py``, ``bootstrap.py``,
``task_figures.py``, ``contrasts.py`` and ``inflation.py``; ``compare.py`` puts runs side by side
and ``tables.py`` prints.
"""
