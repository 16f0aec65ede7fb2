"""Which settings mattered in a set of runs."""
