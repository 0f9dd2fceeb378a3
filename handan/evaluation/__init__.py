"""One evaluator before, along and after training: suites, grading, responses and their costs."""
