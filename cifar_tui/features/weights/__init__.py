"""What the weights of a net look like."""
