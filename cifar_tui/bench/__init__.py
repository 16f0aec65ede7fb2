"""How fast the engine is beside the usual script and the hardware, and how the app feels."""
