"""The assignment as a lab book: its experiments, their runs, and what the runs answer."""
