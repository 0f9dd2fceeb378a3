"""The embedded world: a model organism small enough to run the whole experiment on a laptop."""
