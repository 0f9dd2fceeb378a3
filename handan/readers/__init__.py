"""Token counts from the logs of other tools, none of which has to be installed.

One module a tool, each with one function ``read(path, options)`` that returns a ``Log``.
"""
