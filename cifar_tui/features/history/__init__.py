"""All runs: found, steered, kept and cleared."""
