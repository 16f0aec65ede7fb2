"""How fast the engine is beside the usual script and the hardware."""
