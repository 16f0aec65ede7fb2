"""One run's folder, and the folder of runs; nothing here needs torch."""
