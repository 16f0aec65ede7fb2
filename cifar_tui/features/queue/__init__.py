"""What waits to be trained: listed in order, moved, held, taken out and emptied."""
