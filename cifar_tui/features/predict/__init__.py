"""predictions.csv, of one run or of several, and whether two agree."""
