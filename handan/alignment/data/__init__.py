"""In: ``costs.csv``, people and pairs of models become what each item cost."""
