"""What a run is asked to be: its settings, each declared once, and grids of them."""
