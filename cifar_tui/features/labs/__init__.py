"""The assignment's experiments, their runs, and what the runs answer."""
