"""From costs to alignment: measures, intervals, contrasts and their tables. No torch here.

``align.py`` makes ``alignment.json``. ``costs.py`` reads ``costs.csv``, ``participants.py`` adds
norms or trials, ``items.py`` defines an item's cost, ``pairs.py`` names the models to compare and
reads several runs; ``correlation.py``, ``regression.py`` and ``bootstrap.py`` are the statistics;
``task_measures.py``, ``means.py``, ``contrasts.py``, ``inflation.py``, ``model_pairs.py`` measure;
``measures.py`` declares every measure with its name, unit and places, and ``tables.py`` shows them.

``docs/methods.md`` has the formulas, their sources and what they were checked against.
"""
