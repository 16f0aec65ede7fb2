"""The run folder, the list of runs, comparison and predictions.csv; nothing here needs torch."""
