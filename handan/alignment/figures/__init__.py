"""The parts of ``alignment.json``: tasks, means, contrasts, inflation, the study, power."""
