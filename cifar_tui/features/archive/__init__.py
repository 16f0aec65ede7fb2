"""Archives of runs, and what clearing gives back."""
