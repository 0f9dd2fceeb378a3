"""Token counts from the logs of other tools: a module each, with ``read(path, options)``."""
