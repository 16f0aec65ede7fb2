"""A folder for each thing that one can do: its arithmetic, screens and commands."""
