"""Turns a spec and images into events: steps, optimiser, checkpoints."""
