"""What mattered: the effect of each setting on the runs, with its uncertainty."""
