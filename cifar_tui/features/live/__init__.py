"""Watch runs while they train."""
