"""What measures the program from outside; not installed with it."""
