"""Training an arm: prompts, traces, reward, label audit, probes, and what a run keeps on disk."""
