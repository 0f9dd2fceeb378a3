"""Token counts from the logs of other tools: lm-evaluation-harness, inspect_ai, OpenAI-style APIs.

One module a tool, each with one function ``read(path, options)`` that returns a ``Log``: the
samples of a file, and one sentence each on what was left out or inferred. ``spans`` finds the
reasoning in a text, ``counts`` counts it, ``table`` joins the samples with what items cost people
and writes ``costs.csv``. None of the tools has to be installed, and nothing here loads torch.
"""
