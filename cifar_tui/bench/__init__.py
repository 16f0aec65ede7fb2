"""Measures the engine and the app, so that every figure about speed can be checked."""
