"""A notebook's checkpoint as a run like any other."""
