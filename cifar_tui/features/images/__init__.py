"""The images that runs are trained on: what they are, how they look, where to get them."""
